package dlmanager

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/faultfs"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestTheNextMirrorIsAskedWhenOneFails(t *testing.T) {
	content := contentOf(2 * mib)
	for name, c := range map[string]struct {
		first testorigin.Option
		opts  []DownloadOption
	}{
		"not found":     {testorigin.Status(404, ""), nil},
		"out of order":  {testorigin.Status(503, ""), nil},
		"silent":        {testorigin.Silent(), []DownloadOption{WithStallTimeout(50 * time.Millisecond), WithStrategy(Patient{})}},
		"other content": {testorigin.Body([]byte("other")), []DownloadOption{WithChecksum(sha256Of(content))}},
		"encoded":       {testorigin.Gzip(), nil},
		"cut":           {testorigin.CutAfter(mib), nil},
	} {
		t.Run(name, func(t *testing.T) {
			bad, good := testorigin.New(t), testorigin.New(t)
			url := bad.ServeSize("/file", 2*mib, c.first)
			gone := good.URL("/gone")
			mirror := good.ServeSize("/file", 2*mib)
			m := newManager(t)
			d := m.Download(url, "file", append(c.opts, WithMirrors(gone, mirror))...)
			require.NoError(t, d.Wait())
			requireSame(t, 2*mib, d.Dest())
			assert.Equal(t, mirror, d.Result().FinalURL)
			if name == "silent" {
				return // to it, a machine that pauses is silent, too, and asked again
			}
			assert.Equal(t, 1, bad.Count("/file"))
			assert.Equal(t, 1, good.Count("/gone"))
			assert.Equal(t, 1, good.Count("/file"))
		})
	}
}

func TestAMirrorGoesOnOnlyWithAChecksum(t *testing.T) {
	content := contentOf(4 * mib)
	for name, opts := range map[string][]DownloadOption{
		"":               nil,
		"bytes=2097152-": {WithChecksum(sha256Of(content))},
	} {
		first, second := testorigin.New(t), testorigin.New(t)
		url := first.ServeSize("/file", 4*mib, tagged, testorigin.CutAfter(2*mib))
		mirror := second.ServeSize("/file", 4*mib, tagged)
		d := newManager(t).Download(url, "file", append(opts, WithMirrors(mirror))...)
		require.NoError(t, d.Wait())
		requireSame(t, 4*mib, d.Dest())
		require.Equal(t, 1, second.Count("/file"))
		assert.Equal(t, name, second.Requests("/file")[0].Header.Get("Range"))
	}
}

func TestWhenAllMirrorsFailAllIsSaid(t *testing.T) {
	first, second := testorigin.New(t), testorigin.New(t)
	url, mirror := first.Serve("/file", nil, testorigin.Status(404, "")), second.Serve("/file", nil, testorigin.Status(503, ""))
	dir := filepath.Join(t.TempDir(), "cache")
	err := managerAt(t, dir).Download(url, "file", WithMirrors(mirror)).Wait()
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "404")
	require.ErrorContains(t, err, "503")
	all, ok := errors.AsType[*SourcesError](err)
	require.True(t, ok)
	assert.Len(t, all.Errs, 2)
	assert.True(t, IsTemporary(err), "the mirror may be back later")
	assert.Equal(t, 1, second.Count("/file"), "each is asked once")
	require.ErrorContains(t, managerAt(t, dir).Download(url, "file", WithMirrors("ftp://h/x")).Wait(), "mirror")
}

func TestWhatBreaksHereIsNoReasonToAskAMirror(t *testing.T) {
	o := testorigin.New(t)
	url, mirror := o.Serve("/file", []byte("123")), o.Serve("/mirror", []byte("123"))
	d := newManager(t).Download(url, "file", WithMirrors(mirror), WithProgress(func(*Download, int64, int64) { panic("x") }))
	require.Error(t, d.Wait())
	assert.Zero(t, o.Count("/mirror"))
}

func TestSecretsStayWithTheirHost(t *testing.T) {
	first, second := testorigin.New(t), testorigin.New(t)
	url := "http://user:secret@" + first.Serve("/file", nil, testorigin.Status(404, ""))[len("http://"):]
	mirror := second.Serve("/file", []byte("x"))
	sums := second.Serve("/sums", []byte(sha256Of("x")[7:]+"  file\n"))
	d := newManager(t).Download(url, "file", WithMirrors(mirror), WithHeader("X-Token", "t"), WithChecksum(sums))
	require.NoError(t, d.Wait())
	assert.Equal(t, "t", first.Requests("/file")[0].Header.Get("X-Token"))
	for _, r := range append(second.Requests("/file"), second.Requests("/sums")...) {
		assert.Empty(t, r.Header.Get("X-Token"))
		assert.False(t, r.HasAuth)
	}
}

// noWait tries again at once what is temporary.
type noWait struct{}

func (noWait) Next(a Attempt) (time.Duration, bool) { return 0, IsTemporary(a.Err) && a.Number < 10 }

func TestAForbiddenRequestIsTriedAgainOnlyIfItIsTheQuota(t *testing.T) {
	t.Parallel() // it waits for a second
	o := testorigin.New(t)
	for path, c := range map[string]struct {
		first testorigin.Option
		want  int
	}{
		"/forbidden": {testorigin.Status(403, ""), 1},
		"/later":     {testorigin.All(testorigin.Status(403, ""), testorigin.RetryAfter("0")), 1},
		"/quota":     {testorigin.All(testorigin.Status(403, ""), testorigin.Header("X-RateLimit-Remaining", "0"), testorigin.Header("X-RateLimit-Reset", "1")), 2},
		"/some left": {testorigin.All(testorigin.Status(403, ""), testorigin.Header("X-RateLimit-Remaining", "7")), 1},
	} {
		url := o.Serve(path, []byte("x"), testorigin.Sequence(c.first, testorigin.OK()))
		_ = NewDownload(url, filepath.Join(t.TempDir(), "f"), WithStrategy(noWait{})).Wait()
		assert.Equal(t, c.want, o.Count(path), path)
	}
}

func TestWhenAQuotaIsFilledAgain(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for field, want := range map[string]time.Duration{
		"":           0,
		"x":          0,
		"30":         30 * time.Second,
		"1700000060": time.Minute,
		"1699999999": 0,
		"9999999999": maxRetryAfter,
		"-5":         0,
	} {
		assert.Equal(t, want, parseReset(field, now), field)
	}
}

// tiresome gives up the first source at once, and the others never.
type tiresome struct{ asked *int }

func (s tiresome) Next(Attempt) (time.Duration, bool) {
	*s.asked++
	return 0, *s.asked > 1
}

func TestAMirrorWaitsForItsOwnHostAlone(t *testing.T) {
	first, second := testorigin.New(t), testorigin.New(t)
	url := first.Serve("/file", nil, testorigin.Status(503, ""), testorigin.RetryAfter("3600"))
	mirror := second.Serve("/file", []byte("x"), testorigin.Sequence(testorigin.Status(503, ""), testorigin.OK()))
	m := newManager(t)
	require.NoError(t, m.Download(url, "file", WithMirrors(mirror), WithStrategy(tiresome{new(int)})).Wait())
	assert.Equal(t, 2, second.Count("/file"))

	waiting := m.Download(first.Serve("/other", []byte("y")), "other")
	require.NoError(t, m.Download(second.Serve("/other", []byte("y")), "another").Wait())
	assert.Equal(t, StateQueued, waiting.Progress().State, "the first host wants to be left alone")
	waiting.Cancel()
}

func TestWhatNoSourceIsToBlameForIsNotTheirFailure(t *testing.T) {
	for name, stop := range map[string]func(*Download, *faultfs.Fs){
		"interrupted": func(d *Download, _ *faultfs.Fs) { d.Interrupt() },
		"full disk": func(_ *Download, faults *faultfs.Fs) {
			faults.Fail(faultfs.OpWrite, func(name string) bool { return filepath.Ext(name) == ".part" }, syscall.ENOSPC)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			gate := make(chan struct{})
			url := o.Serve("/first", nil, testorigin.Status(503, ""))
			mirror := o.ServeSize("/mirror", 1000, testorigin.Gate(gate))
			faults := faultfs.New(afero.NewOsFs())
			d := newManager(t, WithFs(faults)).Download(url, "file", WithMirrors(mirror), WithStrategy(tiresome{new(int)}))
			<-o.Arrived("/mirror", 1)
			stop(d, faults)
			close(gate)
			err := d.Wait()
			require.Error(t, err)
			_, all := errors.AsType[*SourcesError](err)
			assert.False(t, all, "%v", err)
			assert.False(t, IsTemporary(err), "%v", err)
		})
	}
}
