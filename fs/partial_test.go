package fs

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/faultfs"
)

func TestPartialCommitGivesTheFileItsName(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		d := openDir(t, base, path)
		p, err := create(d, "sub/folder/file", 0o666)
		require.NoError(t, err)
		_, err = p.WriteAt([]byte("world"), 6)
		require.NoError(t, err)
		_, err = p.WriteAt([]byte("hello "), 0)
		require.NoError(t, err)
		_, err = d.Stat("sub/folder/file")
		require.ErrorIs(t, err, os.ErrNotExist, "the name must not exist before the commit")

		require.NoError(t, p.Commit(SyncDir))
		require.NoError(t, p.SyncName())
		assert.Equal(t, "hello world", content(t, d, "sub/folder/file"))
		requireNoPartials(t, d)
		require.NoError(t, p.Cancel(), "cancel after commit does nothing")
		assert.Equal(t, "hello world", content(t, d, "sub/folder/file"))
		require.ErrorIs(t, p.Commit(SyncFile), os.ErrClosed, "a second commit is refused")
	})
}

func TestPartialCancelLeavesNothing(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		d := openDir(t, base, path)
		p, err := create(d, "file", 0o666)
		require.NoError(t, err)
		_, err = p.WriteAt([]byte("x"), 0)
		require.NoError(t, err)
		require.NoError(t, p.Cancel())
		require.NoError(t, p.Cancel(), "a second cancel does nothing")
		_, err = d.Stat("file")
		require.ErrorIs(t, err, os.ErrNotExist)
		requireNoPartials(t, d)
	})
}

func TestPartialReplacesAFileButNeverADirectory(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		d := openDir(t, base, path)
		land(t, d, "file", "old")
		land(t, d, "file", "new")
		assert.Equal(t, "new", content(t, d, "file"))

		land(t, d, "folder/file", "kept")
		p, err := create(d, "folder", 0o666)
		require.NoError(t, err)
		require.Error(t, p.Commit(SyncFile))
		assert.Equal(t, "kept", content(t, d, "folder/file"))
		requireNoPartials(t, d)
	})
}

func TestSecondPartialOfOneNameGetsItsOwnFile(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	first, err := create(d, "file", 0o666)
	require.NoError(t, err)
	second, err := create(d, "file", 0o666)
	require.NoError(t, err)
	assert.NotEqual(t, first.temp, second.temp)
	_, err = first.WriteAt([]byte("first"), 0)
	require.NoError(t, err)
	_, err = second.WriteAt([]byte("second"), 0)
	require.NoError(t, err)
	require.NoError(t, second.Commit(SyncFile))
	require.NoError(t, first.Commit(SyncFile))
	assert.Equal(t, "first", content(t, d, "file"))
	requireNoPartials(t, d)
}

func TestPartialLeftByADeadProcessIsReplaced(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "other", "x")
	stale := filepath.Join(d.Root(), partialDir, key("file")+partialSuffix)
	require.NoError(t, os.WriteFile(stale, []byte("stale and longer than the new one"), 0o600))
	land(t, d, "file", "new")
	assert.Equal(t, "new", content(t, d, "file"))
	requireNoPartials(t, d)
}

func TestPartialReplacedByALinkIsNotFollowed(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("mine"), 0o666))
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	require.NoError(t, os.MkdirAll(filepath.Join(d.Root(), partialDir), 0o777))
	require.NoError(t, os.Symlink(outside, filepath.Join(d.Root(), partialDir, key("file")+partialSuffix)))
	land(t, d, "file", "new")
	assert.Equal(t, "new", content(t, d, "file"))
	text, err := os.ReadFile(outside)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(text))
}

func TestStraysAreRemovedUnlessHeld(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	held, err := create(d, "held", 0o666)
	require.NoError(t, err)
	stray := filepath.Join(d.Root(), partialDir, key("stray")+partialSuffix)
	require.NoError(t, os.WriteFile(stray, []byte("x"), 0o666))

	require.NoError(t, d.Tidy(context.Background(), time.Now(), ignore))
	assert.NoFileExists(t, stray)
	assert.FileExists(t, filepath.Join(d.Root(), filepath.FromSlash(held.temp)))
	require.NoError(t, held.Commit(SyncFile))
	requireNoPartials(t, d)
}

func TestStraysWithoutLocksGoByAge(t *testing.T) {
	d := openDir(t, afero.NewMemMapFs(), "/cache")
	p, err := create(d, "file", 0o666)
	require.NoError(t, err)
	require.NoError(t, d.Tidy(context.Background(), time.Now(), ignore))
	_, err = d.fsys.Stat(p.temp)
	require.NoError(t, err, "it may be in use")
	require.NoError(t, d.Tidy(context.Background(), time.Now().Add(2*strayAge), ignore))
	requireNoPartials(t, d)
}

func TestPermissionsFollowTheUmask(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permission bits mean nothing on Windows")
	}
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	reference := filepath.Join(t.TempDir(), "reference")
	for _, perm := range []os.FileMode{0o666, 0o777, 0o444, 0o600, 0o555} {
		f, err := os.OpenFile(reference, os.O_CREATE|os.O_WRONLY, perm)
		require.NoError(t, err)
		want, err := f.Stat()
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.NoError(t, os.Remove(reference))

		p, err := create(d, "file", perm|os.ModeSetuid)
		require.NoError(t, err)
		require.NoError(t, p.Commit(SyncFile))
		info, err := d.Stat("file")
		require.NoError(t, err)
		assert.Equal(t, want.Mode(), info.Mode, "%o", perm)
	}
}

func TestEachFailingStepIsAnErrorAndLeavesNothing(t *testing.T) {
	cases := []struct {
		name string
		op   faultfs.Op
	}{
		{"write", faultfs.OpWrite}, {"flush", faultfs.OpSync}, {"close", faultfs.OpClose}, {"rename", faultfs.OpRename},
	}
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				faults := faultfs.New(base)
				d := openDir(t, faults, path)
				p, err := create(d, "file", 0o666)
				require.NoError(t, err)
				faults.Fail(c.op, nil, syscall.EIO)
				if _, err = p.WriteAt([]byte("x"), 0); err == nil {
					err = p.Commit(SyncFile)
				}
				require.ErrorIs(t, err, syscall.EIO)
				require.NoError(t, p.Cancel())
				_, err = d.Stat("file")
				require.ErrorIs(t, err, os.ErrNotExist)
				requireNoPartials(t, d)
				require.Empty(t, faults.OpenFiles())
			})
		}
	})
}

func TestRenameAndRemoveAreTriedAgainWhileBusy(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("busy is another error there; retryWith is tested everywhere")
	}
	faults := faultfs.New(afero.NewOsFs())
	d := openDir(t, faults, t.TempDir())
	all := func(string) bool { return true }
	p, err := create(d, "file", 0o666)
	require.NoError(t, err)
	faults.FailTimes(faultfs.OpRename, all, syscall.EBUSY, 3)
	require.NoError(t, p.Commit(SyncFile))
	faults.FailTimes(faultfs.OpRemove, all, syscall.EBUSY, 3)
	require.NoError(t, d.Remove("file"))
}

func TestRetryIsBounded(t *testing.T) {
	var slept time.Duration
	calls := 0
	err := retryWith(func() error { calls++; return busyError() }, func(d time.Duration) { slept += d })
	require.Error(t, err)
	assert.Greater(t, calls, 5)
	assert.Less(t, slept, 2*retryTotal)
	calls = 0
	require.ErrorIs(t, retryWith(func() error { calls++; return os.ErrPermission }, nil), os.ErrPermission)
	assert.Equal(t, 1, calls, "other errors are not tried again")
}

func TestEmptyFoldersGoWithTheirLastFile(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		if _, memory := base.(*afero.MemMapFs); memory {
			t.Skip("afero.MemMapFs removes folders that are not empty; nothing to see there")
		}
		d := openDir(t, base, path)
		land(t, d, "a/b/one", "1")
		land(t, d, "a/two", "2")
		require.NoError(t, d.Remove("a/b/one"))
		assert.NoDirExists(t, d.Path("a/b"))
		assert.Equal(t, "2", content(t, d, "a/two"))
	})
}

func TestCommitAgainstRemovalOfTheFolder(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	var wg sync.WaitGroup
	for _, name := range []string{"folder/one", "folder/two", "folder/three"} {
		wg.Go(func() {
			for range 100 {
				p, err := create(d, name, 0o666)
				if assert.NoError(t, err) && assert.NoError(t, p.Commit(SyncNone)) {
					assert.NoError(t, d.Remove(name))
				}
			}
		})
	}
	wg.Wait()
	assert.NoDirExists(t, d.Path("folder"))
}

// unsteadyFs has folders removed while they are made.
type unsteadyFs struct {
	afero.Fs
	left int // so many times still
}

func (u *unsteadyFs) MkdirAll(name string, perm os.FileMode) error {
	if u.left > 0 {
		u.left--
		return &os.PathError{Op: "openat", Path: name, Err: os.ErrNotExist}
	}
	return u.Fs.MkdirAll(name, perm)
}

func TestAFileLandsAlthoughItsFolderIsRemovedWhileItIsMade(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	spot, err := d.Spot("some/folder/file")
	require.NoError(t, err)
	unsteady := &unsteadyFs{Fs: d.fsys}
	spot.fsys = unsteady
	p, err := createAt(spot, 0o666)
	require.NoError(t, err)
	unsteady.left = 3
	require.NoError(t, p.Commit(SyncNone))
	assert.Zero(t, unsteady.left)
	assert.FileExists(t, d.Path("some/folder/file"))
}

func TestSiblingIsHiddenAndStaysUnderNameMax(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		require.NoError(t, base.MkdirAll(path, 0o777))
		for _, name := range []string{"tool", strings.Repeat("ü", 127)} {
			dest := filepath.Join(path, "new", name)
			p, err := createSibling(base, dest, 0o666)
			require.NoError(t, err)
			assert.True(t, IsHiddenPartial(filepath.Base(p.temp)))
			assert.Equal(t, filepath.Dir(dest), filepath.Dir(p.temp))
			require.NoError(t, p.Commit(SyncFile))
			_, err = base.Stat(dest)
			require.NoError(t, err)
		}
		_, err := createSibling(base, path, 0o666)
		require.ErrorContains(t, err, "a directory is in its place")
	})
}

func TestCopyToEndsWithItsContext(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		dest := filepath.Join(path, "copy")
		require.NoError(t, CopyTo(t.Context(), strings.NewReader("text"), base, dest, 0o666, SyncFile))
		text, err := afero.ReadFile(base, dest)
		require.NoError(t, err)
		assert.Equal(t, "text", string(text))

		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(os.ErrDeadlineExceeded)
		err = CopyTo(ctx, strings.NewReader("other"), base, dest, 0o666, SyncFile)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		text, err = afero.ReadFile(base, dest)
		require.NoError(t, err)
		assert.Equal(t, "text", string(text), "what was there stays")
	})
}

func TestAPartialWhoseNameIsAnothersByNowIsNotCommitted(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // what is open keeps its name
	}
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	first, err := create(d, "file", 0o666)
	require.NoError(t, err)
	require.NoError(t, os.Remove(d.Path(first.temp)))
	second, err := create(d, "file", 0o666)
	require.NoError(t, err)
	_, err = second.WriteAt([]byte("half"), 0)
	require.NoError(t, err)
	require.ErrorIs(t, first.Commit(SyncNone), errRemoved)
	_, err = d.Stat("file")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, second.Cancel())
}

func TestANoteWithoutItsFileIsNotTakenForAnothers(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	dest := filepath.Join(t.TempDir(), "dest")
	sibling, err := SiblingSpot(afero.NewOsFs(), dest)
	require.NoError(t, err)
	own, err := d.Spot("file")
	require.NoError(t, err)
	for _, spot := range []Spot{sibling, own} {
		p, err := spot.Create(0o666, nil)
		require.NoError(t, err)
		require.NoError(t, p.Note([]byte("of the first")))
		require.NoError(t, p.Keep())
		require.NoError(t, spot.fsys.Remove(p.temp))
		p, err = spot.Create(0o666, nil)
		require.NoError(t, err)
		assert.Empty(t, spot.Pulse().Note)
		require.NoError(t, p.Cancel())
	}
	p, err := own.Create(0o666, nil)
	require.NoError(t, err)
	require.NoError(t, p.Note([]byte("of the first")))
	require.NoError(t, p.Keep())
	require.NoError(t, own.fsys.Remove(p.temp))
	require.NoError(t, d.Tidy(context.Background(), time.Now(), ignore))
	assert.Empty(t, own.Pulse().Note)
	own, err = d.Spot("file")
	require.NoError(t, err)
	assert.False(t, own.suspect, "from now on there are none")
}
