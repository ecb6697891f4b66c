package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// subfoldersOf are those of the directory; the kernel has to know openat2.
func subfoldersOf(t *testing.T, d *Dir) *subfolders {
	t.Helper()
	require.NoError(t, os.MkdirAll(d.Path("probe/x"), 0o777))
	home := d.fsys.(rootFs).home
	home.once.Do(home.open)
	if dir, err := openBelow(home.dir, "probe/x"); err != nil {
		t.Skip(err)
	} else {
		require.NoError(t, dir.Close())
	}
	return &home.sub
}

// put makes a file, with its folder.
func put(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
}

// expire makes all folders so old that they are not used any more.
func (s *subfolders) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.folders() {
		f.since = f.since.Add(-keptFor)
	}
}

func TestAFolderThatWasRemovedIsSeenAtOnce(t *testing.T) {
	d := countedDir(t, t.TempDir())
	s := subfoldersOf(t, d)
	for i := range 10 {
		put(t, d.Path("a/b/file"), "1234")
		info, err := lookUp(d.fsys, "a/b/file")
		require.NoError(t, err)
		require.EqualValues(t, 4, info.Size)
		require.Contains(t, s.folders(), "a/b")
		require.NoError(t, os.RemoveAll(d.Path("a")))
		if i%2 == 0 {
			_, err = lookUp(d.fsys, "a/b/file")
			require.ErrorIs(t, err, os.ErrNotExist)
		}
		put(t, d.Path("a/b/file"), "12345")
		info, err = lookUp(d.fsys, "a/b/file")
		require.NoError(t, err)
		require.EqualValues(t, 5, info.Size)
		require.NoError(t, os.RemoveAll(d.Path("a")))
		require.NoError(t, os.MkdirAll(d.Path("a/b"), 0o777))
		land(t, d, "a/b/file", "landed")
		require.FileExists(t, d.Path("a/b/file"))
	}
}

func TestAFolderThatWasMovedIsSeenBeforeLong(t *testing.T) {
	base := t.TempDir()
	d := countedDir(t, filepath.Join(base, "cache"))
	s := subfoldersOf(t, d)
	put(t, filepath.Join(base, "outside/file"), "outside")
	for name, replace := range map[string]func(folder string) error{
		"nothing": func(string) error { return nil },
		"folder":  func(folder string) error { return os.Mkdir(folder, 0o777) },
		"link":    func(folder string) error { return os.Symlink(filepath.Join(base, "outside"), folder) },
	} {
		t.Run(name, func(t *testing.T) {
			put(t, d.Path(name+"/file"), "1234")
			_, err := lookUp(d.fsys, name+"/file")
			require.NoError(t, err)
			require.NoError(t, os.Rename(d.Path(name), d.Path(name+"-away")))
			require.NoError(t, replace(d.Path(name)))
			if info, err := lookUp(d.fsys, name+"/file"); err == nil {
				require.EqualValues(t, 4, info.Size, "what is outside")
			}
			s.expire()
			_, err = lookUp(d.fsys, name+"/file")
			require.Error(t, err)
		})
	}
}

func TestFewFoldersAreKeptOpen(t *testing.T) {
	d := countedDir(t, t.TempDir())
	s := subfoldersOf(t, d)
	for i := range 3 * mostKept {
		put(t, d.Path(fmt.Sprintf("%d/file", i)), "1234")
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 5 * mostKept {
				name := fmt.Sprintf("%d/file", (i+j)%(3*mostKept))
				info, err := lookUp(d.fsys, name)
				assert.NoError(t, err)
				assert.EqualValues(t, 4, info.Size)
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, len(s.folders()), mostKept)
	var kept []*os.File
	for _, f := range s.folders() {
		kept = append(kept, f.dir)
	}
	require.NotEmpty(t, kept)
	require.NoError(t, d.Close())
	for _, f := range kept {
		require.ErrorIs(t, f.Close(), os.ErrClosed)
	}
	_, err := lookUp(d.fsys, "1/file")
	require.Error(t, err, "a closed directory shows nothing")
	require.Empty(t, s.folders())
}

func TestAFolderThatHangsHoldsUpNoOther(t *testing.T) {
	d := countedDir(t, t.TempDir())
	s := subfoldersOf(t, d)
	for i := range 2 * mostKept {
		put(t, d.Path(fmt.Sprintf("%d/file", i)), "1234")
	}
	_, err := lookUp(d.fsys, "0/file")
	require.NoError(t, err)
	hung, answer, over := make(chan int), make(chan struct{}), make(chan error)
	go func() {
		_, err := s.inOpened("0", func(fd int) error {
			hung <- fd
			<-answer
			return unix.Fstat(fd, &unix.Stat_t{})
		})
		over <- err
	}()
	<-hung
	for i := range 2 * mostKept { // until it is not kept any longer
		_, err := lookUp(d.fsys, fmt.Sprintf("%d/file", (i+1)%(2*mostKept)))
		require.NoError(t, err)
	}
	s.close()
	close(answer)
	require.NoError(t, <-over, "it stays open as long as it is used")
}

func TestTimesAreSetAsTheRootSetsThem(t *testing.T) {
	d := countedDir(t, t.TempDir())
	subfoldersOf(t, d)
	now := time.Now().Truncate(time.Millisecond)
	for _, name := range []string{"top", "a/file", "a/b/file"} {
		put(t, d.Path(name), "1234")
		before, err := d.Stat(name)
		require.NoError(t, err)
		require.NoError(t, d.fsys.Chtimes(name, now.Add(time.Hour), time.Time{}))
		info, err := d.Stat(name)
		require.NoError(t, err)
		require.True(t, info.accessed.Equal(now.Add(time.Hour)))
		require.True(t, info.ModTime.Equal(before.ModTime))
		require.NoError(t, d.fsys.Chtimes(name, now, now.Add(-time.Hour)))
		info, err = d.Stat(name)
		require.NoError(t, err)
		require.True(t, info.accessed.Equal(now))
		require.True(t, info.ModTime.Equal(now.Add(-time.Hour)))
		require.NoError(t, d.fsys.Chtimes(name, time.Time{}, now))
		info, err = d.Stat(name)
		require.NoError(t, err)
		require.True(t, info.ModTime.Equal(now))
	}
	for _, name := range []string{"none", "a/none", "none/file"} {
		require.ErrorIs(t, d.fsys.Chtimes(name, now, now), os.ErrNotExist, name)
	}
	require.Error(t, d.fsys.Chtimes("../outside", now, now))
}

func TestNothingLandsInAFolderThatWasMovedAway(t *testing.T) {
	base := t.TempDir()
	d := countedDir(t, filepath.Join(base, "cache"))
	s := subfoldersOf(t, d)
	for i := range 10 {
		land(t, d, "a/b/file", "landed")
		_, err := lookUp(d.fsys, "a/b/file")
		require.NoError(t, err)
		require.Contains(t, s.folders(), "a/b")
		away := filepath.Join(base, fmt.Sprint("away", i))
		require.NoError(t, os.Rename(d.Path("a"), away))
		require.NoError(t, os.Remove(filepath.Join(away, "b/file")))
		if i%2 == 0 {
			require.NoError(t, os.MkdirAll(d.Path("a/b"), 0o777))
		}
		land(t, d, "a/b/file", "landed")
		require.FileExists(t, d.Path("a/b/file"))
		require.NoFileExists(t, filepath.Join(away, "b/file"))
		require.NoError(t, os.RemoveAll(d.Path("a")))
	}
}

// A look at a folder counts for the files that were on their way then, and for no others.
func TestAFolderIsLookedAtForAllThatAreOnTheirWay(t *testing.T) {
	d := countedDir(t, t.TempDir())
	s := subfoldersOf(t, d)
	home := d.fsys.(rootFs).home.dir
	require.NoError(t, os.MkdirAll(d.Path("a/b"), 0o777))
	before := time.Now()
	in := func(since time.Time) bool {
		done, err := s.inSince(home, "a/b", since, func(int) error { return nil })
		require.NoError(t, err)
		return done
	}
	require.True(t, in(before))
	f := s.folders()["a/b"]
	require.True(t, f.wasAt(home, "a/b", before), "it was opened since")
	between := time.Now()
	require.True(t, f.wasAt(home, "a/b", between))
	require.NoError(t, os.Rename(d.Path("a"), d.Path("away")))
	require.True(t, f.wasAt(home, "a/b", between), "it was looked at since")
	require.False(t, f.wasAt(home, "a/b", time.Now()))
	require.True(t, f.wasAt(home, "a/b", between), "that another one came too late changes nothing")
}

func TestAFolderIsNotKeptInPlaceOfOneThatWasOpenedLater(t *testing.T) {
	s := &subfolders{}
	defer s.close()
	now := time.Now()
	open := func(age time.Duration) *subfolder {
		dir, err := os.Open(t.TempDir())
		require.NoError(t, err)
		return newSubfolder(dir, now.Add(-age))
	}
	first, later, slow := open(2), open(0), open(1)
	for _, f := range []*subfolder{first, later, slow} {
		s.keep("a", f)
		f.release()
	}
	require.Same(t, later, s.folders()["a"])
	require.ErrorIs(t, first.dir.Close(), os.ErrClosed)
	require.ErrorIs(t, slow.dir.Close(), os.ErrClosed)
}

func TestAFolderThatIsClosedIsNotUsedAgain(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	require.NoError(t, err)
	f := newSubfolder(dir, time.Now())
	require.True(t, f.acquire())
	f.release()
	require.NoError(t, at(dir, func(fd int) error { return unix.Fstat(fd, &unix.Stat_t{}) }), "it is still used")
	f.release()
	require.ErrorIs(t, dir.Close(), os.ErrClosed)
	require.False(t, f.acquire())
}

// mountOverlay mounts one file system over another where only this test sees it, and
// returns where. Who may not passes the test over.
func mountOverlay(t *testing.T, lower string) string {
	t.Helper()
	runtime.LockOSThread() // and never unlocked: the thread ends with the test, and the mount with it
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		t.Skip(err)
	}
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	base := t.TempDir()
	upper, work, merged := filepath.Join(base, "upper"), filepath.Join(base, "work"), filepath.Join(base, "merged")
	for _, dir := range []string{upper, work, merged} {
		require.NoError(t, os.Mkdir(dir, 0o777))
	}
	if err := unix.Mount("overlay", merged, "overlay", 0, "lowerdir="+lower+",upperdir="+upper+",workdir="+work); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(merged, unix.MNT_DETACH)) })
	return merged
}

func TestAFolderOfTwoLayersThatWasRemovedIsSeenAtOnce(t *testing.T) {
	lower := t.TempDir()
	put(t, filepath.Join(lower, "a/b/file"), "1234")
	d, err := Open(afero.NewOsFs(), mountOverlay(t, lower), Options{Adopt: true})
	require.NoError(t, err)
	defer d.Close()
	s := subfoldersOf(t, d)
	_, err = lookUp(d.fsys, "a/b/file")
	require.NoError(t, err)
	require.Contains(t, s.folders(), "a/b")
	require.NoError(t, os.RemoveAll(d.Path("a")))
	put(t, d.Path("a/b/file"), "12345")
	info, err := lookUp(d.fsys, "a/b/file")
	require.NoError(t, err)
	require.EqualValues(t, 5, info.Size)
}
