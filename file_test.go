package dlmanager

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestGetFetchesAndOpens(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	for name, fsys := range map[string]afero.Fs{"os": afero.NewOsFs(), "memory": afero.NewMemMapFs()} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, WithFs(fsys))
			for range 2 { // a miss, a hit
				f, err := m.Get(t.Context(), url, "folder/name")
				require.NoError(t, err)
				text, err := io.ReadAll(f)
				require.NoError(t, err)
				assert.Equal(t, "content", string(text))
				assert.Equal(t, "folder/name", f.Name())
				assert.Equal(t, filepath.Join(m.dir.Root(), "folder", "name"), f.Path())
				assert.EqualValues(t, 7, f.Size())
				at, err := f.Seek(3, io.SeekStart)
				require.NoError(t, err)
				assert.EqualValues(t, 3, at)
				var rest bytes.Buffer
				n, err := f.WriteTo(&rest)
				require.NoError(t, err)
				assert.EqualValues(t, 4, n)
				assert.Equal(t, "tent", rest.String())
				two := make([]byte, 2)
				_, err = f.ReadAt(two, 1)
				require.NoError(t, err)
				assert.Equal(t, "on", string(two))
				require.NoError(t, f.Close())
				require.NoError(t, f.Close(), "twice is once")
				_, err = f.Read(two)
				require.ErrorContains(t, err, "closed")
			}
		})
	}
	assert.Equal(t, 2, o.Count("/file"), "once for each cache")
}

func TestOpenFindsOnlyWhatIsThere(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	_, err := m.Open("name")
	require.ErrorIs(t, err, ErrNotCached)
	_, err = m.Open("../name")
	require.ErrorIs(t, err, ErrInvalidName)
	require.NoError(t, m.Download(o.Serve("/file", []byte("x")), "folder/name").Wait())
	_, err = m.Open("folder")
	require.ErrorContains(t, err, "directory")

	old := time.Now().Add(-time.Hour)
	path := m.dir.Path("folder/name")
	require.NoError(t, os.Chtimes(path, old, old))
	f, err := m.Open("folder/name")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	fi, err := os.Stat(path)
	require.NoError(t, err)
	assert.True(t, fi.ModTime().Equal(old) || fi.ModTime().Sub(old).Abs() < 2*time.Second)
	assert.Greater(t, fs.LastUse(fi).Sub(old), time.Minute, "opening is a use")
}

func TestGetReturnsWhatFailed(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	_, err := m.Get(t.Context(), o.Serve("/missing", nil, testorigin.Status(404, "")), "missing")
	require.ErrorIs(t, err, ErrNotFound)
	_, err = m.Get(t.Context(), "ftp://example.com/x", "x")
	require.Error(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	_, err = m.Get(ctx, o.Serve("/file", []byte("x")), "file")
	require.ErrorIs(t, err, why)
	assert.Zero(t, o.Count("/file"), "nothing is begun for who has left")
	require.NoError(t, m.Close())
	_, err = m.Get(t.Context(), o.URL("/file"), "file")
	require.ErrorIs(t, err, ErrClosed)
	_, err = m.Open("file")
	require.ErrorIs(t, err, ErrClosed)
}

func TestCloseOfTheManagerEndsTheLeases(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir)
	other := managerAt(t, dir)
	f, err := m.Get(t.Context(), o.Serve("/file", []byte("x")), "file")
	require.NoError(t, err)
	name := f.Name()
	f = nil // nobody has the handle any more
	for range 3 {
		runtime.GC()
	}
	require.ErrorIs(t, other.dir.Evict(name), fs.ErrLeased, "a lease ends with Close, not when it is collected")
	require.NoError(t, m.Close())
	require.NoError(t, other.dir.Evict(name))
}

// A file that is open counts, but another one has to go.
func TestAnOpenFileIsNotEvicted(t *testing.T) {
	o := testorigin.New(t)
	old := time.Now().Add(-time.Hour)
	for name, another := range map[string]bool{"by its manager": false, "by another": true} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			m := managerAt(t, dir, WithSizeLimit(2500), WithFileLimit(1))
			leased, err := m.Get(t.Context(), o.ServeSize("/leased", 1000), "leased")
			require.NoError(t, err)
			require.NoError(t, os.Chtimes(leased.Path(), old, old))
			if another {
				m = managerAt(t, dir, WithSizeLimit(2500), WithFileLimit(1)) // which finds it there
			}
			for _, next := range []string{"a", "b", "c", "d"} {
				url := o.ServeSize("/"+next, 1000)
				require.NoError(t, m.Download(url, next).Wait())
				requireSame(t, 1000, leased.Path())
			}
			_, err = os.Stat(m.dir.Path("a"))
			require.ErrorIs(t, err, os.ErrNotExist)
			require.NoError(t, leased.Close())
			require.NoError(t, os.Chtimes(leased.Path(), old, old))
			_, err = m.limit.RemoveOldFiles()
			require.NoError(t, err)
			require.NoError(t, m.Download(o.ServeSize("/e", 1000), "e").Wait())
			_, err = os.Stat(leased.Path())
			require.ErrorIs(t, err, os.ErrNotExist, "it goes once it is closed")
		})
	}
}

func TestAFileEvictedBeforeItIsOpenIsFetchedAgain(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 1000)
	dir := filepath.Join(t.TempDir(), "cache")
	other := managerAt(t, dir)
	losses := 3
	m := managerAt(t, dir, WithHooks(Hooks{Finished: func(*Download) {
		if losses--; losses >= 0 {
			require.NoError(t, other.dir.Evict("file"))
		}
	}}))
	f, err := m.Get(t.Context(), url, "file")
	require.NoError(t, err)
	requireSame(t, 1000, f.Path())
	require.NoError(t, f.Close())
	assert.Equal(t, 4, o.Count("/file"))
}

// Whoever replaces the file between the end of a download and its opening does not
// bring a file with another checksum upon who asked for this one.
func TestGetGivesOnlyTheFileWithTheChecksum(t *testing.T) {
	o := testorigin.New(t)
	right, wrong := o.Serve("/right", []byte("right")), o.Serve("/wrong", []byte("wrong, and longer"))
	dir := filepath.Join(t.TempDir(), "cache")
	other := managerAt(t, dir)
	replaced := false
	m := managerAt(t, dir, WithHooks(Hooks{Finished: func(*Download) {
		if !replaced {
			replaced = true
			require.NoError(t, other.Download(wrong, "file", WithForce()).Wait())
		}
	}}))
	f, err := m.Get(t.Context(), right, "file", WithChecksum(sha256Of("right")))
	require.NoError(t, err)
	defer f.Close()
	text, err := io.ReadAll(f)
	require.NoError(t, err)
	assert.Equal(t, "right", string(text))
}

func TestAFileIsCopiedAndLinked(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	f, err := m.Get(t.Context(), o.Serve("/file", []byte("hello")), "name")
	require.NoError(t, err)
	defer f.Close()
	_, err = f.Seek(0, io.SeekEnd)
	require.NoError(t, err)
	dir := t.TempDir()
	dst := filepath.Join(dir, "bin", "tool")
	require.NoError(t, f.CopyTo(t.Context(), dst, 0o777))
	requireContent(t, "hello", dst)
	same := func() bool {
		a, err := os.Stat(f.Path())
		require.NoError(t, err)
		b, err := os.Stat(dst)
		require.NoError(t, err)
		return os.SameFile(a, b)
	}
	assert.False(t, same())
	require.NoError(t, f.LinkTo(dst))
	assert.True(t, same())
	require.ErrorContains(t, f.LinkTo(dir), "directory")

	require.NoError(t, m.Download(o.Serve("/other", []byte("other")), "name", WithForce()).Wait())
	require.ErrorIs(t, f.LinkTo(dst), ErrNotCached, "its name is another's")
	require.NoError(t, f.CopyTo(t.Context(), dst, 0o666), "what is open is still what it was")
	requireContent(t, "hello", dst)
	names, err := os.ReadDir(filepath.Dir(dst))
	require.NoError(t, err)
	assert.Len(t, names, 1, "nothing is left")
}

// leaving is a caller of Get who leaves when told to.
type leaving struct {
	leave context.CancelFunc
	err   chan error
}

func getAndLeave(t *testing.T, m *DownloadManager, url, name string, opts ...DownloadOption) leaving {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	l := leaving{cancel, make(chan error, 1)}
	go func() {
		f, err := m.Get(ctx, url, name, opts...)
		if err == nil {
			err = f.Close()
		}
		l.err <- err
	}()
	return l
}

// callersOf waits until n callers who may leave want the file.
func callersOf(t *testing.T, m *DownloadManager, name string, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.callers[m.inFlight[name]] == n
	}, time.Minute, time.Millisecond)
}

func TestTheLastWhoLeavesInterruptsTheTransfer(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 4*mib, tagged, testorigin.Sequence(testorigin.SilentAfter(2*mib), testorigin.OK()))
	m := newManager(t)
	half := make(chan struct{})
	var once sync.Once
	first := getAndLeave(t, m, url, "file", WithProgress(func(_ *Download, current, _ int64) {
		if current == 2*mib {
			once.Do(func() { close(half) })
		}
	}))
	<-half
	second := getAndLeave(t, m, url, "file")
	callersOf(t, m, "file", 2)
	first.leave()
	require.ErrorIs(t, <-first.err, context.Canceled)
	callersOf(t, m, "file", 1)
	running := m.Downloads()
	require.Len(t, running, 1)
	assert.True(t, running[0].IsRunning(), "somebody waits for it")
	second.leave()
	require.ErrorIs(t, <-second.err, context.Canceled)
	require.ErrorIs(t, running[0].Wait(), ErrInterrupted)
	require.NoError(t, m.Wait(), "nobody failed")

	f, err := m.Get(t.Context(), url, "file")
	require.NoError(t, err)
	requireSame(t, 4*mib, f.Path())
	require.NoError(t, f.Close())
	assert.Equal(t, 2, o.Count("/file"))
	assert.Equal(t, "bytes=2097152-", o.Requests("/file")[1].Header.Get("Range"), "what had arrived was kept")
}

func TestADownloadInHandIsWantedToItsEnd(t *testing.T) {
	for name, handleFirst := range map[string]bool{"from the beginning": true, "joined": false} {
		t.Run(name, func(t *testing.T) {
			begin, told, gate := make(chan struct{}), make(chan struct{}), make(chan struct{})
			o := testorigin.New(t)
			url := o.Serve("/file", []byte("content"), testorigin.Gate(begin), testorigin.GateAfter(3, gate))
			m := newManager(t)
			var d *Download
			if handleFirst {
				d = m.Download(url, "file")
			}
			reports := new(atomic.Int64)
			caller := getAndLeave(t, m, url, "file", WithProgress(func(*Download, int64, int64) { reports.Add(1) }))
			<-o.Arrived("/file", 1)
			if !handleFirst {
				callersOf(t, m, "file", 1)
				d = m.Download(url, "file")
			}
			require.Eventually(t, func() bool { return len(d.observers.snapshot()) == 1 }, time.Minute, time.Millisecond)
			once := sync.OnceFunc(func() { close(told) })
			d.OnProgress(func(_ *Download, current, _ int64) { // called after the caller's
				if current == 3 {
					once()
				}
			})
			close(begin)
			select {
			case <-told:
			case <-d.Done():
				require.Fail(t, "it is over before all was told")
			}
			caller.leave()
			require.ErrorIs(t, <-caller.err, context.Canceled)
			before := reports.Load()
			close(gate)
			require.NoError(t, d.Wait())
			assert.Equal(t, before, reports.Load(), "who has left is told nothing more")
			assert.Empty(t, m.callers)
		})
	}
}

// Whoever joins while the last one leaves gets the file, whatever comes first.
func TestLeavingAndJoiningDoNotMiss(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithSync(SyncNone))
	for range 50 {
		gate := make(chan struct{})
		url := o.Serve("/file", []byte("content"), testorigin.GateAfter(3, gate))
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if f, err := m.Get(ctx, url, "file", WithForce()); err == nil {
				assert.NoError(t, f.Close())
			} else {
				assert.ErrorIs(t, err, context.Canceled)
			}
		})
		wg.Go(leave)
		for range 2 {
			wg.Go(func() {
				f, err := m.Get(t.Context(), url, "file", WithForce())
				if assert.NoError(t, err) {
					assert.NoError(t, f.Close())
				}
			})
		}
		close(gate)
		wg.Wait()
	}
	_ = m.Wait() // what was interrupted may still be on its way out
	assert.Empty(t, m.callers)
	assert.Empty(t, m.files)
}

func TestGetLeavesNothingOpen(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithSizeLimit(1<<20))
	url := o.Serve("/file", []byte("content"))
	require.NoError(t, m.Download(url, "first").Wait())
	f, err := m.Get(t.Context(), url, "file")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	p := m.limit
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.dirs {
		assert.Empty(t, d.holds)
	}
}

// A time that nanoseconds since 1970 cannot hold is no reason to fetch for ever.
func TestGetOfAFileWithAnAbsurdTime(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	url := o.Serve("/file", []byte("content"))
	require.NoError(t, m.Download(url, "file").Wait())
	far := time.Date(2400, 1, 1, 0, 0, 0, 0, time.UTC)
	require.NoError(t, os.Chtimes(m.dir.Path("file"), far, far))
	f, err := m.Get(t.Context(), url, "file", WithChecksum(sha256Of("content")))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	assert.Equal(t, 1, o.Count("/file"))
}
