package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func lease(t *testing.T, d *Dir, name string) afero.File {
	t.Helper()
	f, _, err := d.Lease(t.Context(), name)
	require.NoError(t, err)
	return f
}

func TestALeasedFileIsNotEvicted(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "folder/file", "text")
	first, info, err := d.Lease(t.Context(), "folder/file")
	require.NoError(t, err)
	assert.EqualValues(t, 4, info.Size)
	second := lease(t, d, "folder/file")
	require.ErrorIs(t, d.Evict("folder/file"), ErrLeased)
	require.NoError(t, first.Close())
	require.ErrorIs(t, d.Evict("folder/file"), ErrLeased, "each lease counts")
	text, err := io.ReadAll(second)
	require.NoError(t, err)
	assert.Equal(t, "text", string(text))
	require.NoError(t, second.Close())
	require.NoError(t, d.Evict("folder/file"))
	_, err = os.Stat(d.Path("folder"))
	require.ErrorIs(t, err, os.ErrNotExist, "the empty folder goes as well")
	require.ErrorIs(t, d.Evict("folder/file"), os.ErrNotExist)
}

func TestWithoutLocksALeaseProtectsNothing(t *testing.T) {
	d := openDir(t, afero.NewMemMapFs(), "/cache")
	land(t, d, "file", "text")
	f := lease(t, d, "file")
	defer f.Close()
	require.NoError(t, d.Evict("file"))
	_, _, err := d.Lease(t.Context(), "file")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestOnlyRegularFilesAreLeased(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		d := openDir(t, base, path)
		land(t, d, "folder/file", "text")
		_, _, err := d.Lease(t.Context(), "folder")
		require.ErrorContains(t, err, "a directory is in its place")
		_, _, err = d.Lease(t.Context(), "missing")
		require.ErrorIs(t, err, os.ErrNotExist)
	})
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "file", "text")
	if os.Symlink("file", d.Path("link")) == nil {
		_, _, err := d.Lease(t.Context(), "link")
		require.ErrorIs(t, err, os.ErrNotExist)
		require.ErrorIs(t, d.Evict("link"), os.ErrNotExist)
	}
}

func TestAReplacedFileIsKeptForWhoHasIt(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // what is open is not replaced
	}
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "file", "old")
	old := lease(t, d, "file")
	defer old.Close()
	land(t, d, "file", "new")
	text, err := io.ReadAll(old)
	require.NoError(t, err)
	assert.Equal(t, "old", string(text))
	assert.Equal(t, "new", content(t, d, "file"))
	require.NoError(t, d.Evict("file"), "nobody holds the new one")
}

func TestALeaseFollowsTheName(t *testing.T) {
	if runtime.GOOS == "windows" {
		return
	}
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "file", "old")
	hook := &openHook{Fs: d.fsys, after: func() { land(t, d, "file", "new") }}
	f := lease(t, &Dir{fsys: hook}, "file")
	text, err := io.ReadAll(f)
	require.NoError(t, err)
	assert.Equal(t, "new", string(text), "replaced between opening and locking")
	require.ErrorIs(t, d.Evict("file"), ErrLeased)
	require.NoError(t, f.Close())

	hook.after = func() { assert.NoError(t, d.Evict("file")) }
	_, _, err = (&Dir{fsys: hook}).Lease(t.Context(), "file")
	require.ErrorIs(t, err, os.ErrNotExist, "evicted between opening and locking")
}

func TestEvictSparesWhatHasJustReplacedIt(t *testing.T) {
	if runtime.GOOS == "windows" {
		return
	}
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "file", "old")
	evictor := &Dir{path: d.path, fsys: &openHook{Fs: d.fsys, after: func() { land(t, d, "file", "new") }}}
	require.ErrorIs(t, evictor.Evict("file"), ErrLeased)
	assert.Equal(t, "new", content(t, d, "file"))
}

// lockAlone takes the lock that an evictor has.
func lockAlone(t *testing.T, d *Dir, name string) afero.File {
	t.Helper()
	f, err := d.Open(name)
	require.NoError(t, err)
	locked, err := tryLock(f)
	require.NoError(t, err)
	require.True(t, locked)
	return f
}

func TestWhoWaitsForAnEvictor(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	for name, c := range map[string]struct {
		evicts bool
		want   error
	}{
		"finds the file when it stays":  {false, nil},
		"finds nothing when it is gone": {true, os.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			land(t, d, "file", "text")
			evictor := lockAlone(t, d, "file")
			opened := make(chan struct{})
			hook := &openHook{Fs: d.fsys, after: func() { close(opened) }}
			var wg sync.WaitGroup
			wg.Go(func() {
				f, _, err := (&Dir{path: d.path, fsys: hook}).Lease(t.Context(), "file")
				if assert.ErrorIs(t, err, c.want) && err == nil {
					assert.NoError(t, f.Close())
				}
			})
			<-opened
			if c.evicts {
				assert.NoError(t, d.Remove("file"))
			}
			assert.NoError(t, evictor.Close())
			wg.Wait()
		})
	}
}

func TestWaitingForALeaseEnds(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "file", "text")
	evictor := lockAlone(t, d, "file")
	defer evictor.Close()
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, _, err := d.Lease(ctx, "file")
	require.ErrorIs(t, err, why)

	f, err := d.Open("file")
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, shareLock(t.Context(), d.fsys, "file", f, time.Millisecond), "who has the lock is frozen: one goes on without")
}

// Whoever replaces a file while somebody is between looking at it and removing it
// would lose the new one.
func TestAFileIsNotReplacedWhileItIsEvicted(t *testing.T) {
	if runtime.GOOS == "windows" {
		return
	}
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "file", "old")
	p, err := create(d, "file", 0o666)
	require.NoError(t, err)
	evictor := lockAlone(t, d, "file")
	opened := make(chan struct{})
	p.fsys = &openHook{Fs: d.fsys, after: func() { close(opened) }}
	var wg sync.WaitGroup
	wg.Go(func() { assert.NoError(t, p.Commit(SyncNone)) })
	<-opened
	require.NoError(t, d.fsys.Remove("file"))
	require.NoError(t, evictor.Close())
	wg.Wait()
	assert.Empty(t, content(t, d, "file"), "the new one is there")
}

func TestWhatNobodyMayReadIsEvicted(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "file", "text")
	require.NoError(t, os.Chmod(d.Path("file"), 0o200))
	require.NoError(t, d.Evict("file"))
	_, err := os.Stat(d.Path("file"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// Evicting and replacing side by side, a reader never gets an error, and never a
// file that is not whole.
func TestReadersAgainstEvictors(t *testing.T) {
	if runtime.GOOS == "windows" {
		return
	}
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "file", "text")
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				err := d.Evict("file")
				if err == nil {
					land(t, d, "file", "text")
				} else if !errors.Is(err, os.ErrNotExist) {
					assert.ErrorIs(t, err, ErrLeased)
				}
			}
		})
	}
	hits := 0
	for range 500 {
		f, _, err := d.Lease(t.Context(), "file")
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		require.NoError(t, err)
		there, err := os.Stat(d.Path("file"))
		require.NoError(t, err, "a leased file keeps its name")
		text, err := io.ReadAll(f)
		require.NoError(t, err)
		assert.Equal(t, "text", string(text))
		open, err := f.Stat()
		require.NoError(t, err)
		assert.True(t, os.SameFile(there, open))
		require.NoError(t, f.Close())
		hits++
	}
	close(stop)
	others.Wait()
	t.Log(hits, "hits")
}

func TestCopyToOfAFile(t *testing.T) {
	dir := t.TempDir()
	content := make([]byte, 3*copyBuffer+17)
	for i := range content {
		content[i] = byte(i * 31 >> 3)
	}
	from := filepath.Join(dir, "from")
	require.NoError(t, os.WriteFile(from, content, 0o600))
	src, err := os.Open(from)
	require.NoError(t, err)
	defer src.Close()
	_, err = src.Seek(100, io.SeekStart)
	require.NoError(t, err)
	dest := filepath.Join(dir, "deep", "copy")
	require.NoError(t, CopyTo(t.Context(), src, afero.NewOsFs(), dest, 0o777, SyncDir))
	got, err := os.ReadFile(dest)
	require.NoError(t, err)
	assert.True(t, string(content) == string(got), "all of it, wherever the file stands")
	if runtime.GOOS != "windows" {
		fi, err := os.Stat(dest)
		require.NoError(t, err)
		assert.NotZero(t, fi.Mode()&0o100)
	}
}

func TestLinkTo(t *testing.T) {
	dir := t.TempDir()
	from, dest := filepath.Join(dir, "from"), filepath.Join(dir, "deep", "link")
	require.NoError(t, os.WriteFile(from, []byte("text"), 0o600))
	src, err := os.Open(from)
	require.NoError(t, err)
	defer src.Close()
	for range 2 { // the second time it is the same file already
		require.NoError(t, LinkTo(src, from, afero.NewOsFs(), dest, SyncDir))
		a, err := os.Stat(from)
		require.NoError(t, err)
		b, err := os.Stat(dest)
		require.NoError(t, err)
		assert.True(t, os.SameFile(a, b))
	}
	require.NoError(t, os.Rename(dest, from+"2"))
	require.NoError(t, os.Remove(from))
	require.NoError(t, os.WriteFile(from, []byte("other"), 0o600))
	require.ErrorIs(t, LinkTo(src, from, afero.NewOsFs(), dest, SyncNone), os.ErrNotExist, "another file by now")
	left, err := os.ReadDir(filepath.Dir(dest))
	require.NoError(t, err)
	assert.Empty(t, left)
	require.ErrorContains(t, LinkTo(src, from, afero.NewOsFs(), dir, SyncNone), "directory")
}
