package dlmanager

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestALeasedDirectoryIsNotEvicted(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	var gone []string
	m := managerAt(t, dir, WithSizeLimit(1000), WithFileLimit(1), WithHooks(Hooks{Evicted: func(r Removed) { gone = append(gone, r.Path) }}))
	d, err := m.GetDir(t.Context(), o.Serve("/archive", make([]byte, 500)), "tools", spread)
	require.NoError(t, err)
	other := managerAt(t, dir, WithSizeLimit(1000), WithFileLimit(1))
	fetch := func(m *DownloadManager, name string) {
		t.Helper()
		require.NoError(t, m.Download(o.ServeSize("/"+name, 700), name).Wait())
	}
	fetch(m, "a")
	fetch(other, "b")
	requireContent(t, "text", filepath.Join(d.Path(), "doc", "1", "page"))
	require.ErrorIs(t, m.Remove("tools/"), ErrInUse)
	require.ErrorIs(t, other.Remove("tools/"), ErrInUse)
	require.NoError(t, d.Close())
	fetch(m, "c")
	require.NoError(t, m.Close())
	assert.NoDirExists(t, d.Path())
	assert.Contains(t, gone, d.Path())
	requireTidy(t, dir, 0)
	u := other.Stats()
	assert.EqualValues(t, 700, u.Bytes)
	assert.Equal(t, 1, u.Files)
}

func TestADirectoryIsReplacedWhileItIsInUse(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/archive", []byte("old"), testorigin.Sequence(testorigin.Body([]byte("old")), testorigin.Body([]byte("new!"))))
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir, WithSizeLimit(1000))
	old, err := m.GetDir(t.Context(), url, "tools", spread)
	require.NoError(t, err)
	now, err := m.GetDir(t.Context(), url, "tools", spread, WithChecksum(sha256Of("new!")))
	require.NoError(t, err)
	requireContent(t, "old", filepath.Join(old.Path(), "bin", "tool"))
	requireContent(t, "new!", filepath.Join(now.Path(), "bin", "tool"))
	assert.NotEqual(t, old.Path(), now.Path())
	assert.Equal(t, spreadSize("old")+spreadSize("new!"), m.Stats().Bytes, "both count")
	require.NoError(t, errors.Join(old.Close(), now.Close()))
	requireTidy(t, dir, 2)
	require.NoError(t, m.Close())

	m = managerAt(t, dir, WithSizeLimit(1000))
	require.NoError(t, m.house.awaitTidied(t.Context()))
	assert.NoDirExists(t, old.Path(), "the next one to open the cache removes what nobody uses")
	requireTidy(t, dir, 1)
	again, err := m.GetDir(t.Context(), url, "tools", spread)
	require.NoError(t, err)
	assert.Equal(t, now.Path(), again.Path())
	assert.Equal(t, 2, o.Count("/archive"))
	assert.Equal(t, spreadSize("new!"), m.Stats().Bytes)
}

func TestDirectoriesAreEntriesOfTheCache(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/archive", []byte("program"))
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir, WithSizeLimit(10_000))
	d, err := m.GetDir(t.Context(), url, "some/tools", spread)
	require.NoError(t, err)
	require.NoError(t, m.Download(url, "some/tools").Wait(), "a file may have the name as well")
	listed := map[string]FileInfo{}
	for f, err := range m.Files() {
		require.NoError(t, err)
		listed[f.Name] = f
	}
	require.Len(t, listed, 2)
	info := listed["some/tools/"]
	assert.True(t, info.Dir)
	assert.Equal(t, spreadSize("program"), info.Size)
	assert.Equal(t, d.Path(), info.Path)
	assert.False(t, listed["some/tools"].Dir)
	r, ok := info.Remembered()
	assert.True(t, ok)
	assert.Equal(t, Remembered{URL: url, Fetched: info.ModTime, Digest: sha256Of("program")}, r)
	same, err := m.Stat("some/tools/")
	require.NoError(t, err)
	assert.Equal(t, info.Path, same.Path)
	_, err = m.Stat("other/")
	require.ErrorIs(t, err, ErrNotCached)
	require.ErrorIs(t, m.Remove("other/"), ErrNotCached)
	require.ErrorIs(t, m.Remove("/"), ErrInvalidName)
	u := m.Stats()
	assert.Equal(t, 2, u.Files)
	assert.Equal(t, spreadSize("program")+7, u.Bytes)
	require.NoError(t, m.house.count(t.Context()))
	assert.Equal(t, u.Bytes, m.Stats().Bytes, "who counts finds the same")

	report, err := m.Prune(t.Context(), PruneOptions{All: true})
	require.NoError(t, err)
	assert.Equal(t, 1, report.InUse)
	assert.Equal(t, spreadSize("program"), report.LeftBytes)
	require.NoError(t, d.Close())
	report, err = m.Prune(t.Context(), PruneOptions{All: true})
	require.NoError(t, err)
	assert.Equal(t, 1, report.Files)
	assert.Zero(t, m.Stats().Bytes)
	requireTidy(t, dir, 0)
}

func TestVerifyLooksIntoDirectories(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/archive", []byte("program"))
	for name, damage := range map[string]func(t *testing.T, path string){
		"changed": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(filepath.Join(path, "doc", "3", "page"), []byte("tex!"), 0o666))
		},
		"missing": func(t *testing.T, path string) {
			require.NoError(t, os.Remove(filepath.Join(path, "doc", "3", "page")))
		},
		"added": func(t *testing.T, path string) { require.NoError(t, os.Mkdir(filepath.Join(path, "empty"), 0o777)) },
		"renamed": func(t *testing.T, path string) {
			require.NoError(t, os.Rename(filepath.Join(path, "doc", "3"), filepath.Join(path, "doc", "4b")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			d, err := m.GetDir(t.Context(), url, "tools", spread)
			require.NoError(t, err)
			require.NoError(t, d.Close())
			report, err := m.Verify(t.Context(), VerifyOptions{})
			require.NoError(t, err)
			assert.Equal(t, 1, report.Intact)
			assert.Equal(t, spreadSize("program"), report.Bytes)
			damage(t, d.Path())
			report, err = m.Verify(t.Context(), VerifyOptions{Repair: true})
			require.NoError(t, err)
			require.Len(t, report.Damaged, 1)
			assert.Equal(t, "tools/", report.Damaged[0].Name)
			assert.NotEqual(t, report.Damaged[0].Want, report.Damaged[0].Got)
			assert.True(t, report.Damaged[0].Removed)
			assert.NoDirExists(t, d.Path())
		})
	}
}

func TestADirectoryThatAPowerLossMayHaveDamagedIsFilledAnew(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/archive", []byte("program"))
	dir := filepath.Join(t.TempDir(), "cache")
	fill, fills := counted(spread)
	for i, boot := range []string{"first", "first", "second"} {
		m := managerAt(t, dir, WithSync(SyncNone), managerOption(func(c *managerConfig) { c.boot = boot }))
		d, err := m.GetDir(t.Context(), url, "tools", fill)
		require.NoError(t, err)
		assert.Equal(t, []int32{1, 1, 2}[i], fills.Load())
		require.NoError(t, d.Close())
		require.NoError(t, m.Close())
	}
	requireTidy(t, dir, 1)
}

func TestWhatKilledProcessesLeftOfDirectoriesIsSwept(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/archive", []byte("program"))
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir)
	d, err := m.GetDir(t.Context(), url, "tools", spread)
	require.NoError(t, err)
	require.NoError(t, m.Close())
	trees := filepath.Dir(d.Path())
	key := filepath.Base(d.Path())
	stranger := strings.Repeat("0", len(key))
	for _, folder := range []string{
		key + ".fill", key + "-0123456789abcdef", key + "-0123456789abcdef.gone", key + "-fedcba9876543210.fill",
		stranger, stranger + ".fill", "not one of ours",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(trees, folder, "sub"), 0o777))
		require.NoError(t, os.WriteFile(filepath.Join(trees, folder, "sub", "file"), []byte("left"), 0o666))
	}
	for _, file := range []string{
		key + ".part", key + ".json", key + "-fedcba9876543210.part", stranger + ".part", stranger + "-0123456789abcdef.entry",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(trees, file), []byte("left"), 0o666))
	}
	m = managerAt(t, dir)
	require.NoError(t, m.house.awaitTidied(t.Context()))
	assert.ElementsMatch(t, []string{key, key + ".entry", "not one of ours"}, treeNames(t, dir))
	require.NoError(t, os.Remove(filepath.Join(trees, key+".entry")))
	d, err = m.GetDir(t.Context(), url, "tools", spread)
	require.NoError(t, err)
	requireContent(t, "program", filepath.Join(d.Path(), "bin", "tool"))
	assert.Equal(t, key, filepath.Base(d.Path()), "a folder without an entry is in nobody's way")
}

func TestADirectoryIsPlaced(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	d, err := m.GetDir(t.Context(), o.Serve("/archive", []byte("program")), "tools", spread)
	require.NoError(t, err)
	top := t.TempDir()
	dst := filepath.Join(top, "new", "place")
	require.NoError(t, d.CopyTo(t.Context(), dst))
	requireContent(t, "program", filepath.Join(dst, "bin", "tool"))
	requireContent(t, "text", filepath.Join(dst, "doc", "9", "page"))
	if runtime.GOOS != "windows" {
		target, err := os.Readlink(filepath.Join(dst, "tool"))
		require.NoError(t, err)
		assert.Equal(t, filepath.Join("bin", "tool"), target)
		there, err := os.Stat(filepath.Join(dst, "bin", "tool"))
		require.NoError(t, err)
		here, err := os.Stat(filepath.Join(d.Path(), "bin", "tool"))
		require.NoError(t, err)
		assert.Equal(t, here.Mode(), there.Mode())
		assert.Equal(t, here.ModTime(), there.ModTime())
	}
	require.ErrorIs(t, d.CopyTo(t.Context(), dst), os.ErrExist)
	empty := filepath.Join(top, "empty")
	require.NoError(t, os.Mkdir(empty, 0o777))
	require.NoError(t, d.CopyTo(t.Context(), empty))
	require.FileExists(t, filepath.Join(empty, "bin", "tool"))
	file := filepath.Join(top, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	require.ErrorIs(t, d.CopyTo(t.Context(), file), os.ErrExist)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, d.CopyTo(ended, filepath.Join(top, "never")), context.Canceled)
	left, err := os.ReadDir(top)
	require.NoError(t, err)
	assert.Len(t, left, 3, "nothing is left on its way")
}

func TestWhereADirectoryCannotBePlaced(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	d, err := m.GetDir(t.Context(), o.Serve("/archive", []byte("program")), "tools", spread)
	require.NoError(t, err)
	err = d.CopyTo(t.Context(), filepath.Join(d.Path(), "doc", "copy"))
	require.ErrorContains(t, err, "into itself")
	pages, err := os.ReadDir(filepath.Join(d.Path(), "doc"))
	require.NoError(t, err)
	assert.Len(t, pages, 10, "nothing is left of it")

	empty := t.TempDir()
	t.Chdir(empty)
	err = d.CopyTo(t.Context(), ".")
	require.ErrorIs(t, err, os.ErrExist)
	require.ErrorContains(t, err, "working directory")
	if runtime.GOOS != "windows" {
		link := filepath.Join(t.TempDir(), "link")
		require.NoError(t, os.Symlink(empty, link))
		require.ErrorIs(t, d.CopyTo(t.Context(), link), os.ErrExist)
	}
}

func TestDirectoriesNeedTheOperatingSystemsFiles(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithFs(afero.NewMemMapFs()))
	_, err := m.GetDir(t.Context(), o.Serve("/archive", []byte("x")), "tools", spread)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}
