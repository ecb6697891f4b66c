package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
	"weak"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/ending"
	"github.com/dlmanager/dlmanager/internal/faultfs"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

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

func requireEmpty(t *testing.T, dir string) {
	t.Helper()
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, names)
}

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
		Origin: OriginFetched, Bytes: 9, WireBytes: 9, CRC32C: 0xe3069283, ETag: `"v1"`, LastModified: date.Format("Mon, 02 Jan 2006 15:04:05 GMT"),
		Source: o.URL("/file"), FinalURL: o.URL("/file"), DispositionName: "other.bin", Attempts: 1, Verified: true,
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

// Callers may keep downloads for as long as they like.
func TestADownloadThatIsOverKeepsNothingOfItsWork(t *testing.T) {
	o := testorigin.New(t)
	for path, opts := range map[string][]testorigin.Option{"/file": nil, "/missing": {testorigin.Status(404, "")}} {
		work := make(chan weak.Pointer[ending.Context], 1)
		d := NewDownload(o.Serve(path, []byte("x"), opts...), filepath.Join(t.TempDir(), "file"), WithHooks(Hooks{Started: func(d *Download) {
			d.mu.Lock()
			defer d.mu.Unlock()
			work <- weak.Make(d.abort) // of which it is part
		}}))
		_ = d.Wait()
		ctx := <-work
		require.Eventually(t, func() bool {
			runtime.GC()
			return ctx.Value() == nil
		}, time.Minute, time.Millisecond)
		runtime.KeepAlive(d)
	}
}
