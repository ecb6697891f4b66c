package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/faultfs"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// Behaviour 1.
func TestNewDownloadIsNotStarted(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("hello"))
	dest := filepath.Join(t.TempDir(), "file")
	d := NewDownload(url, dest)
	assert.False(t, d.IsRunning())
	assert.False(t, d.IsCanceled())
	assert.NoError(t, d.Err())
	assert.Equal(t, url, d.URL())
	assert.Equal(t, dest, d.Dest())
	assert.Equal(t, StateNew, d.Progress().State)
	assert.Zero(t, o.Count("/file"))
	select {
	case <-d.Done():
		t.Fatal("done before it was started")
	default:
	}
}

func TestStartIsAsynchronousAndIdempotent(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	dest := filepath.Join(t.TempDir(), "file")
	d := NewDownload(o.Serve("/file", []byte("hello"), testorigin.Gate(gate)), dest)
	for range 5 {
		d.Start()
	}
	assert.True(t, d.IsRunning())
	close(gate)
	require.NoError(t, d.Wait())
	d.Start()
	require.NoError(t, d.Wait())
	assert.False(t, d.IsRunning())
	assert.Equal(t, 1, o.Count("/file"))
	requireContent(t, "hello", dest)
}

func TestWaitStartsADownloadThatNobodyStarted(t *testing.T) {
	o := testorigin.New(t)
	dest := filepath.Join(t.TempDir(), "file")
	require.NoError(t, NewDownload(o.Serve("/file", []byte("hello")), dest).Wait())
	requireContent(t, "hello", dest)
}

func TestWaitContextGivesUpWaitingNotTheDownload(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	dest := filepath.Join(t.TempDir(), "file")
	d := NewDownload(o.Serve("/file", []byte("hello"), testorigin.Gate(gate)), dest)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no patience"))
	require.ErrorContains(t, d.WaitContext(ctx), "no patience")
	assert.True(t, d.IsRunning())
	close(gate)
	require.NoError(t, d.Wait())
	require.NoError(t, d.WaitContext(ctx), "an outcome that stands outranks the context")
}

// Behaviour 3.
func TestFinishedHookFiresOnceAndAfterStarted(t *testing.T) {
	o := testorigin.New(t)
	cases := []struct {
		name string
		url  string
		stop bool
		want error
	}{
		{"success", o.Serve("/file", []byte("x")), false, nil},
		{"error", o.Serve("/missing", nil, testorigin.Status(404, "no")), false, ErrNotFound},
		{"bad url", "ftp://example.com/", false, nil},
		{"cancel", o.Serve("/silent", nil, testorigin.Silent()), true, ErrCanceled},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var e events
			dir := t.TempDir()
			d := NewDownload(c.url, filepath.Join(dir, "file"), WithHooks(e.hooks()))
			if c.stop {
				d.Start()
				<-o.Arrived("/silent", 1)
				d.Cancel()
			}
			err := d.Wait()
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			}
			assert.Equal(t, []string{"started file", "finished file"}, e.all())
			assert.NoError(t, d.close2(), "the outcome stands before the hook is over")
			requireNoPartials(t, dir)
		})
	}
}

// close2 asserts by a second look that Done is closed.
func (d *Download) close2() error {
	select {
	case <-d.Done():
		return nil
	default:
		return errors.New("not done")
	}
}

func TestHookSeesTheOutcomeAndWaitComesAfterIt(t *testing.T) {
	o := testorigin.New(t)
	hookOver := false
	d := NewDownload(o.Serve("/file", nil, testorigin.Status(500, "oops")), filepath.Join(t.TempDir(), "file"), WithStrategy(Once{}),
		WithHooks(Hooks{Finished: func(d *Download) {
			assert.Error(t, d.Err())
			assert.False(t, d.IsRunning())
			assert.Error(t, d.close2())
			hookOver = true
		}}))
	require.Error(t, d.Wait())
	assert.True(t, hookOver)
}

func TestPanickingHooksDoNotEndTheProcess(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("x"))
	dest := filepath.Join(t.TempDir(), "file")
	err := NewDownload(url, dest, WithHooks(Hooks{Started: func(*Download) { panic("boom") }})).Wait()
	require.ErrorContains(t, err, "boom")
	assert.NoFileExists(t, dest)
	err = NewDownload(url, dest, WithHooks(Hooks{Finished: func(*Download) { panic("boom") }})).Wait()
	require.NoError(t, err, "the outcome stands already")
}

// Behaviour 5.
func TestProgressBeginsAtZeroAndEndsWithTheTotal(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	const size = 3 << 20
	cases := []struct {
		name       string
		url        string
		firstTotal int64
		size       int64
	}{
		{"length", o.ServeSize("/a", size), size, size},
		{"no length", o.ServeSize("/b", size, testorigin.NoLength()), -1, size},
		{"stored length", o.ServeSize("/c", size, testorigin.NoLength(), testorigin.StoredLength(size)), size, size},
		{"wrong stored length", o.ServeSize("/d", size, testorigin.NoLength(), testorigin.StoredLength(1000)), 1000, size},
		{"empty", o.Serve("/e", nil), 0, 0},
		{"empty without length", o.Serve("/f", nil, testorigin.NoLength()), -1, 0},
		{"slow", o.ServeSize("/g", size, testorigin.Drip(size/8, gate)), size, size},
	}
	close(gate)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			type report struct{ current, total int64 }
			var reports []report
			d := NewDownload(c.url, filepath.Join(t.TempDir(), "file"), WithProgress(func(_ *Download, current, total int64) {
				reports = append(reports, report{current, total})
			}))
			require.NoError(t, d.Wait())
			require.NotEmpty(t, reports)
			assert.Equal(t, report{0, c.firstTotal}, reports[0])
			assert.Equal(t, report{c.size, c.size}, reports[len(reports)-1])
			for i := 1; i < len(reports); i++ {
				assert.GreaterOrEqual(t, reports[i].current, reports[i-1].current)
				if c.size > 0 {
					assert.NotEqual(t, reports[i], reports[i-1], "no report comes twice")
				}
			}
			p := d.Progress()
			assert.Equal(t, Progress{State: StateDone, Current: c.size, Total: c.size, Rate: p.Rate, Attempt: 1}, p)
		})
	}
}

func TestProgressFunctionsMayCallTheDownload(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 1<<20)
	var second []int64
	d := NewDownload(url, filepath.Join(t.TempDir(), "file"))
	d.SetProgress(func(same *Download, _, _ int64) {
		assert.Same(t, d, same)
		d.Progress()
		d.IsRunning()
		d.SetProgress(func(_ *Download, current, _ int64) { second = append(second, current) })
	})
	stopped := 0
	var stop func()
	stop = d.OnProgress(func(*Download, int64, int64) { stopped++; stop() })
	require.NoError(t, d.Wait())
	require.NotEmpty(t, second)
	assert.EqualValues(t, 1<<20, second[len(second)-1])
	assert.Equal(t, 1, stopped)
}

func TestCancelFromAProgressFunction(t *testing.T) {
	o := testorigin.New(t)
	dir := t.TempDir()
	d := NewDownload(o.ServeSize("/file", 1<<20), filepath.Join(dir, "file"),
		WithProgress(func(d *Download, _, _ int64) { d.Cancel() }))
	require.ErrorIs(t, d.Wait(), ErrCanceled)
	requireEmpty(t, dir)
}

func requireEmpty(t *testing.T, dir string) {
	t.Helper()
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, names)
}

func TestPanickingProgressFunctionFailsItsDownload(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 1<<20)
	for _, at := range []int64{0, 1, 1 << 20} { // at the headers, on the way, at the end
		dir := t.TempDir()
		d := NewDownload(url, filepath.Join(dir, "file"), WithProgress(func(_ *Download, current, _ int64) {
			if current >= at {
				panic("boom")
			}
		}))
		require.ErrorContains(t, d.Wait(), "boom")
		requireEmpty(t, dir)
	}
}

func TestObserverThatComesLateIsToldTheEnd(t *testing.T) {
	o := testorigin.New(t)
	d := NewDownload(o.Serve("/file", []byte("12345")), filepath.Join(t.TempDir(), "file"))
	require.NoError(t, d.Wait())
	var got []int64
	d.SetProgress(func(_ *Download, current, total int64) { got = append(got, current, total) })
	d.OnProgress(func(_ *Download, current, total int64) { got = append(got, current, total) })
	d.OnProgress(func(*Download, int64, int64) { panic("boom") })
	assert.Equal(t, []int64{5, 5, 5, 5}, got)

	failed := NewDownload(o.Serve("/missing", nil, testorigin.Status(404, "")), filepath.Join(t.TempDir(), "file"))
	require.Error(t, failed.Wait())
	failed.SetProgress(func(*Download, int64, int64) { t.Error("told of a failure") })
}

// Behaviour 6.
func TestCancelInterruptsWhateverItWaitsFor(t *testing.T) {
	o := testorigin.New(t)
	cases := []struct{ name, url string }{
		{"before the headers", o.Serve("/a", nil, testorigin.Silent())},
		{"after the headers", o.ServeSize("/b", 1000, testorigin.SilentAfter(0))},
		{"within the body", o.ServeSize("/c", 1<<20, testorigin.SilentAfter(1000))},
		{"an endless body", o.Serve("/d", nil, testorigin.Endless())},
	}
	for i, c := range cases {
		for _, interrupt := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, interrupt), func(t *testing.T) {
				dir := t.TempDir()
				d := NewDownload(c.url, filepath.Join(dir, "file"), WithStallTimeout(0))
				reached := make(chan struct{})
				d.SetProgress(func(*Download, int64, int64) { d.SetProgress(nil); close(reached) })
				d.Start()
				if i == 0 {
					<-o.Arrived("/a", 1)
				} else {
					<-reached
				}
				if interrupt {
					d.Interrupt()
					require.ErrorIs(t, d.Wait(), ErrInterrupted)
					assert.False(t, d.IsCanceled())
				} else {
					d.Cancel()
					assert.True(t, d.IsCanceled())
					require.ErrorIs(t, d.Wait(), ErrCanceled)
					assert.True(t, d.IsCanceled())
				}
				assert.False(t, d.IsRunning())
				requireEmpty(t, dir)
			})
		}
	}
}

func TestCancelBeforeStart(t *testing.T) {
	o := testorigin.New(t)
	dir := t.TempDir()
	d := NewDownload(o.Serve("/file", []byte("x")), filepath.Join(dir, "file"))
	d.Cancel()
	assert.True(t, d.IsCanceled())
	require.ErrorIs(t, d.Wait(), ErrCanceled)
	assert.Zero(t, o.Count("/file"))
	requireEmpty(t, dir)
}

func TestCancelAfterCompletionChangesNothing(t *testing.T) {
	o := testorigin.New(t)
	dest := filepath.Join(t.TempDir(), "file")
	d := NewDownload(o.Serve("/file", []byte("x")), dest)
	require.NoError(t, d.Wait())
	d.Cancel()
	d.Interrupt()
	assert.False(t, d.IsCanceled())
	require.NoError(t, d.Wait())
	requireContent(t, "x", dest)
}

func TestARealErrorOutranksCancel(t *testing.T) {
	o := testorigin.New(t)
	d := NewDownload(o.Serve("/file", nil, testorigin.Status(403, "no")), filepath.Join(t.TempDir(), "file"),
		WithHooks(Hooks{Finished: func(d *Download) { d.Cancel() }}))
	err := d.Wait()
	require.NotErrorIs(t, err, ErrCanceled)
	status, ok := errors.AsType[*StatusError](err)
	require.True(t, ok)
	assert.Equal(t, 403, status.Code)
	assert.False(t, d.IsCanceled())
}

// Behaviour 7.
func TestErrorStatusIsAnErrorWithItsFirstBytes(t *testing.T) {
	o := testorigin.New(t)
	for _, code := range []int{400, 401, 403, 404, 410, 416, 429, 500, 503} {
		dir := t.TempDir()
		d := NewDownload(o.Serve(fmt.Sprint("/", code), nil, testorigin.Status(code, "the reason"), testorigin.RetryAfter("7")),
			filepath.Join(dir, "file"), WithStrategy(Once{}))
		err := d.Wait()
		status, ok := errors.AsType[*StatusError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, code, status.Code)
		assert.Equal(t, "the reason", status.Message)
		assert.Equal(t, 7*time.Second, status.RetryAfter)
		assert.Equal(t, code == 404 || code == 410, errors.Is(err, ErrNotFound))
		requireEmpty(t, dir)
	}
	dir := t.TempDir()
	err := NewDownload(o.Serve("/endless", nil, testorigin.Endless(), testorigin.Status(500, "x")), filepath.Join(dir, "file"), WithStrategy(Once{})).Wait()
	require.Error(t, err, "an endless error body is not read to its end")
	requireEmpty(t, dir)
}

// Behaviour 8.
func TestAnExistingFileIsReplacedAtomically(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	dest := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(dest, []byte("old"), 0o666))
	d := NewDownload(o.Serve("/file", []byte("newer"), testorigin.GateAfter(3, gate)), dest)
	arrived := make(chan struct{})
	d.SetProgress(func(_ *Download, current, _ int64) {
		if current == 3 {
			close(arrived)
		}
	})
	d.Start()
	<-arrived
	requireContent(t, "old", dest)
	close(gate)
	require.NoError(t, d.Wait())
	requireContent(t, "newer", dest)
}

func TestAFailedDownloadLeavesTheOldFile(t *testing.T) {
	o := testorigin.New(t)
	dir := t.TempDir()
	dest := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(dest, []byte("old"), 0o666))
	for path, opt := range map[string]testorigin.Option{
		"/cut": testorigin.CutAfter(10), "/reset": testorigin.ResetAfter(10), "/encoded": testorigin.Gzip(),
		"/status": testorigin.Status(404, ""),
	} {
		require.Error(t, NewDownload(o.ServeSize(path, 1000, opt), dest, WithStrategy(Once{})).Wait(), path)
		requireContent(t, "old", dest)
		requireNoPartials(t, dir)
	}
}

func TestADirectoryInTheWayIsAnErrorAndStays(t *testing.T) {
	o := testorigin.New(t)
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "dest", "sub"), 0o777))
	for _, dest := range []string{"dest", "dest/", "."} {
		require.ErrorContains(t, NewDownload(o.Serve("/file", []byte("x")), filepath.Join(dir, dest)).Wait(), "directory")
	}
	assert.DirExists(t, filepath.Join(dir, "dest", "sub"))
	assert.Zero(t, o.Count("/file"), "nothing is fetched for nothing")
}

// Behaviour 9.
func TestAFailedRenameOrCloseIsAnError(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("hello"))
	for _, op := range []faultfs.Op{faultfs.OpRename, faultfs.OpClose, faultfs.OpSync, faultfs.OpWrite} {
		for _, base := range []afero.Fs{afero.NewOsFs(), afero.NewMemMapFs()} {
			dir := t.TempDir()
			require.NoError(t, base.MkdirAll(dir, 0o777))
			faults := faultfs.New(base)
			faults.Fail(op, func(string) bool { return true }, syscall.EIO)
			d := NewDownload(url, filepath.Join(dir, "file"), WithFs(faults))
			require.ErrorIs(t, d.Wait(), syscall.EIO)
			names, err := afero.ReadDir(base, dir)
			require.NoError(t, err)
			require.Empty(t, names)
			require.Empty(t, faults.OpenFiles())
		}
	}
}

func TestEveryStepThatFailsLeavesWholeFilesOnly(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("hello"))
	for n := 1; ; n++ {
		base := afero.NewMemMapFs()
		faults := faultfs.New(base)
		faults.FailAt(n, syscall.ENOSPC)
		m, err := NewDownloadManager("/cache", WithFs(faults), WithSizeLimit(1000))
		if err == nil {
			err = m.Download(url, "sub/name").Wait()
			if closeErr := m.Close(); closeErr != nil {
				require.ErrorIs(t, closeErr, syscall.ENOSPC)
			}
		}
		steps := faults.Steps()
		require.Empty(t, faults.OpenFiles(), "step %d of %v", n, faults.Log())
		text, readErr := afero.ReadFile(base, "/cache/sub/name")
		if err == nil {
			require.NoError(t, readErr)
		}
		if readErr == nil {
			require.Equal(t, "hello", string(text))
		}
		if n > steps {
			return // every step has failed once
		}
	}
}

func TestFilePermissionsFollowTheUmask(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("x"))
	dir := t.TempDir()
	for _, perm := range []os.FileMode{0o666, 0o777, 0o600} {
		reference := filepath.Join(dir, fmt.Sprintf("reference%o", perm))
		f, err := os.OpenFile(reference, os.O_CREATE|os.O_WRONLY, perm)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		want, err := os.Stat(reference)
		require.NoError(t, err)
		dest := filepath.Join(dir, fmt.Sprintf("file%o", perm))
		require.NoError(t, NewDownload(url, dest, WithMode(perm)).Wait())
		got, err := os.Stat(dest)
		require.NoError(t, err)
		assert.Equal(t, want.Mode(), got.Mode())
	}
}

func TestAFullDiskIsAnErrorOfTheDisk(t *testing.T) {
	o := testorigin.New(t)
	base := afero.NewMemMapFs()
	faults := faultfs.New(base)
	faults.ShortWrite(nil, 1000, syscall.ENOSPC)
	err := NewDownload(o.ServeSize("/file", 1<<20), "/dest", WithFs(faults)).Wait()
	require.ErrorIs(t, err, syscall.ENOSPC)
	_, isTransfer := errors.AsType[*TransferError](err)
	assert.False(t, isTransfer, "the network is not to blame")
	assert.False(t, IsTemporary(err))
	exists, err := afero.Exists(base, "/dest")
	require.NoError(t, err)
	assert.False(t, exists)
}

func TestResultTellsWhatCame(t *testing.T) {
	o := testorigin.New(t)
	date := time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)
	d := NewDownload(o.Serve("/file", []byte("123456789"), testorigin.ETag(`"v1"`), testorigin.LastModified(date),
		testorigin.ContentDisposition(`attachment; filename="other.bin"`)), filepath.Join(t.TempDir(), "file"))
	require.NoError(t, d.Wait())
	r := d.Result()
	assert.Positive(t, r.Elapsed)
	r.Elapsed = 0
	assert.Equal(t, Result{
		Origin: OriginFetched, Bytes: 9, CRC32C: 0xe3069283, ETag: `"v1"`, LastModified: date.Format("Mon, 02 Jan 2006 15:04:05 GMT"),
		FinalURL: o.URL("/file"), DispositionName: "other.bin", Attempts: 1, Verified: true,
	}, r, "0xe3069283 is the check value of CRC-32C")

	d = NewDownload(o.Serve("/close", []byte("x"), testorigin.CloseDelimited()), filepath.Join(t.TempDir(), "file"))
	require.NoError(t, d.Wait())
	assert.False(t, d.Result().Verified, "nothing proves the end of a body that ends with the connection")
}

func TestSizeLimitsOfADownload(t *testing.T) {
	o := testorigin.New(t)
	for path, opts := range map[string][]testorigin.Option{"/length": nil, "/chunked": {testorigin.NoLength()}} {
		url := o.ServeSize(path, 1000, opts...)
		dir := t.TempDir()
		dest := filepath.Join(dir, "file")
		require.ErrorIs(t, NewDownload(url, dest, WithMaxSize(999)).Wait(), ErrTooLarge)
		require.ErrorIs(t, NewDownload(url, dest, WithMinSize(1001)).Wait(), ErrTooSmall)
		requireEmpty(t, dir)
		require.NoError(t, NewDownload(url, dest, WithMaxSize(1000), WithMinSize(1000)).Wait())
	}
}

func TestAServerThatIsSilentIsAStall(t *testing.T) {
	o := testorigin.New(t)
	for path, opt := range map[string]testorigin.Option{
		"/headers": testorigin.Silent(), "/body": testorigin.SilentAfter(10),
	} {
		dir := t.TempDir()
		err := NewDownload(o.ServeSize(path, 1000, opt), filepath.Join(dir, "file"), WithStallTimeout(20*time.Millisecond), WithStrategy(Once{})).Wait()
		require.ErrorIs(t, err, ErrStalled)
		assert.True(t, IsTemporary(err))
		requireEmpty(t, dir)
	}
}

func TestNoSecretIsInAnErrorOrALogLine(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/missing", nil, testorigin.Status(404, ""))
	o.Serve("/cut", []byte("0123456789"), testorigin.CutAfter(3))
	o.Serve("/away", nil, testorigin.Redirect("ftp://user:hunter2@example.com/?token=hunter2", 302))
	host := strings.TrimPrefix(o.URL(""), "http://")
	for _, url := range []string{
		"http://alice:hunter2@" + host + "/missing?token=hunter2#hunter2",
		"http://alice:hunter2@" + host + "/cut?token=hunter2",
		"http://alice:hunter2@" + host + "/away?token=hunter2",
		"http://alice:hunter2@127.0.0.1:1/?token=hunter2",
		"http://alice:hunter2@[::bad/?token=hunter2",
		"ftp://alice:hunter2@example.com/?token=hunter2",
		"http://alice:hunter2@exa mple.com/?token=hunter2",
		"http://a\x7fhunter2/?token=hunter2",
		"http://host:hunter2/",
	} {
		var log strings.Builder
		m := newManager(t, WithLogger(textLogger(&log)))
		err := m.Download(url, "name").Wait()
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "hunter2")
		require.Error(t, m.Wait())
		require.NoError(t, m.Close())
		assert.NotContains(t, log.String(), "hunter2")
		assert.NotEmpty(t, log.String())
	}
}

func TestRetryAfterIsReadAndCapped(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for field, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0,
		"99999999999999999999": 0, "9223372036854775807": maxRetryAfter,
		"Thu, 01 Jan 2026 00:01:00 GMT": time.Minute,
		"Wed, 31 Dec 2025 00:00:00 GMT": 0,
		"Fri, 01 Jan 2100 00:00:00 GMT": maxRetryAfter,
	} {
		assert.Equal(t, want, parseRetryAfter(field, now), field)
	}
}

func TestRateFollowsTheLastSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m meter
		m.start(0, 1<<30, time.Now())
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			m.advance(100, time.Now())
		}
		_, _, rate := m.read(time.Now())
		assert.InEpsilon(t, 1000, rate, 0.01)
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			m.advance(200, time.Now())
		}
		_, _, rate = m.read(time.Now())
		assert.InEpsilon(t, 2000, rate, 0.05)
		time.Sleep(time.Minute)
		_, _, rate = m.read(time.Now())
		assert.Less(t, rate, 1.0, "it fades while nothing comes")
	})
}

func TestCopyToPlacesTheFileAtomically(t *testing.T) {
	o := testorigin.New(t)
	dir := t.TempDir()
	m := newManager(t)
	d := m.Download(o.Serve("/file", []byte("hello")), "name")
	dst := filepath.Join(dir, "bin", "tool")
	require.NoError(t, d.CopyTo(t.Context(), dst, 0o777))
	requireContent(t, "hello", dst)
	fi, err := os.Stat(dst)
	require.NoError(t, err)
	assert.NotZero(t, fi.Mode()&0o100)
	require.ErrorContains(t, d.CopyTo(t.Context(), filepath.Join(dir, "bin"), 0o666), "directory")
	failed := m.Download(o.Serve("/missing", nil, testorigin.Status(404, "")), "missing")
	require.ErrorIs(t, failed.CopyTo(t.Context(), dst, 0o666), ErrNotFound)
	requireContent(t, "hello", dst)
}
