package fs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/faultfs"
)

// openHook runs after, once, when a file was opened: between two steps of the
// code under test.
type openHook struct {
	afero.Fs
	after func()
}

func (h *openHook) OpenFile(name string, flag int, perm os.FileMode) (afero.File, error) {
	f, err := h.Fs.OpenFile(name, flag, perm)
	if after := h.after; after != nil {
		h.after = nil
		after()
	}
	return f, err
}

func (h *openHook) LstatIfPossible(name string) (os.FileInfo, bool, error) {
	fi, err := Lstat(h.Fs, name)
	return fi, true, err
}

func TestACleanerNeverTakesTheNextPartialForALeftOne(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	first, err := create(d, "file", 0o666)
	require.NoError(t, err)
	var second *Partial
	hook := &openHook{Fs: d.fsys, after: func() {
		assert.NoError(t, first.Commit(SyncNone))
		second, err = create(d, "file", 0o666)
		assert.NoError(t, err)
	}}
	cleaner := &Dir{fsys: hook}
	require.ErrorIs(t, cleaner.RemoveLeftover(first.temp), os.ErrNotExist)
	require.NoError(t, second.Commit(SyncNone))
}

func TestRemoveTakesNoFolderThatIsNotEmptyOrNotAFolder(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		d := openDir(t, base, path)
		land(t, d, "folder/a", "1")
		land(t, d, "folder/b", "2")
		require.NoError(t, d.Remove("folder/a"))
		assert.Equal(t, "2", content(t, d, "folder/b"))
	})
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "real/file", "1")
	require.NoError(t, os.Symlink("real", d.Path("link")))
	require.NoError(t, d.Remove("link/file"))
	_, err := os.Lstat(d.Path("link"))
	require.NoError(t, err, "a link is somebody's own")
}

func TestALinkToTheCachesOwnFilesIsNotWrittenThrough(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	require.NoError(t, os.Symlink(".dlm", d.Path("a")))
	_, err := create(d, "a/format", 0o666)
	require.ErrorContains(t, err, "symbolic link")
}

func TestTheOperatingSystemsFsIsRootedHoweverItIsGiven(t *testing.T) {
	outside := t.TempDir()
	d := openDir(t, afero.OsFs{}, t.TempDir())
	require.NotNil(t, d.root)
	require.NoError(t, os.Symlink(outside, d.Path("out")))
	_, err := d.Stat("out/x")
	require.Error(t, err)
}

func TestAFolderThatCannotBeReadDoesNotHideTheOthers(t *testing.T) {
	faults := faultfs.New(afero.NewMemMapFs())
	d := openDir(t, faults, "/cache")
	for _, name := range []string{"a/1", "b/1", "c/1", "top"} {
		land(t, d, name, "x")
	}
	faults.Fail(faultfs.OpOpen, func(name string) bool { return filepath.Base(name) == "b" }, os.ErrPermission)
	var seen []string
	err := d.Walk(t.Context(), func(name string, _ Info) error {
		seen = append(seen, name)
		return nil
	})
	require.ErrorIs(t, err, os.ErrPermission)
	assert.ElementsMatch(t, []string{"a/1", "c/1", "top"}, seen)
}

func TestTwinsNeedNoListingOfAFolderThatIsKnown(t *testing.T) {
	faults := faultfs.New(afero.NewMemMapFs())
	d := openDir(t, faults, "/cache")
	land(t, d, "folder/a", "x")
	_, found, err := d.Twin(t.Context(), "folder/new")
	require.NoError(t, err)
	require.False(t, found)
	faults.Fail(faultfs.OpReaddir, nil, os.ErrPermission) // from now on nothing can be listed
	for _, name := range []string{"folder/b", "folder/c", "d", "folder/a"} {
		_, found, err := d.Twin(t.Context(), name)
		require.NoError(t, err, name)
		assert.False(t, found)
	}
}

func TestNamesOfHiddenPartials(t *testing.T) {
	for base, want := range map[string]bool{
		".tool." + key("tool") + ".part": true, ".tool." + key("tool") + "-0123456789abcdef.part": true,
		".a.part": false, "tool.part": false, ".tool." + key("tool"): false, ".part": false,
	} {
		assert.Equal(t, want, IsHiddenPartial(base), base)
	}
}
