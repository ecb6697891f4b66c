package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/faultfs"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// agedCache returns a manager of a cache with the files a (used longest ago) to e,
// an hour apart, of 100 bytes each.
func agedCache(t testing.TB, opts ...Option) (*DownloadManager, string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, managerAt(t, dir).Close())
	for i, name := range []string{"a", "b/b", "b/c", "d", "e"} {
		putAged(t, dir, name, 100, time.Duration(5-i)*time.Hour)
	}
	require.NoError(t, os.Remove(filepath.Join(dir, ".dlm", "usage"))) // they came behind its back
	return managerAt(t, dir, opts...), dir
}

func putAged(t testing.TB, dir, name string, size int, age time.Duration) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
	require.NoError(t, os.WriteFile(path, make([]byte, size), 0o666))
	used := time.Now().Add(-age)
	require.NoError(t, os.Chtimes(path, used, used))
}

func cachedNames(t testing.TB, m *DownloadManager) []string {
	t.Helper()
	names := []string{}
	for f, err := range m.Files() {
		require.NoError(t, err)
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return names
}

func TestPruneRemovesWhatWasUsedLongestAgo(t *testing.T) {
	cases := map[string]struct {
		o       PruneOptions
		removed []string
	}{
		"nothing asked":        {PruneOptions{}, nil},
		"to a size":            {PruneOptions{To: 300}, []string{"a", "b/b"}},
		"to less than a file":  {PruneOptions{To: 1}, []string{"a", "b/b", "b/c", "d", "e"}},
		"to between two sizes": {PruneOptions{To: 399}, []string{"a", "b/b"}},
		"small enough":         {PruneOptions{To: 500}, nil},
		"older":                {PruneOptions{OlderThan: 210 * time.Minute}, []string{"a", "b/b"}},
		"older, then to":       {PruneOptions{OlderThan: 270 * time.Minute, To: 200}, []string{"a", "b/b", "b/c"}},
		"to, then older":       {PruneOptions{OlderThan: 90 * time.Minute, To: 400}, []string{"a", "b/b", "b/c", "d"}},
		"all":                  {PruneOptions{All: true}, []string{"a", "b/b", "b/c", "d", "e"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m, dir := agedCache(t, WithSizeLimit(10_000))
			before := cachedNames(t, m)
			for _, dry := range []bool{true, false} {
				var told []string
				c.o.DryRun, c.o.Removed = dry, func(f FileInfo) { told = append(told, f.Name) }
				report, err := m.Prune(t.Context(), c.o)
				require.NoError(t, err)
				n := len(c.removed)
				require.Equal(t, c.removed, told, "in the order of their last use")
				require.Equal(t, PruneReport{Files: n, Bytes: int64(n) * 100, LeftBytes: int64(5-n) * 100}, report)
				if dry {
					require.Equal(t, before, cachedNames(t, m))
				}
			}
			require.Len(t, cachedNames(t, m), 5-len(c.removed))
			require.Equal(t, int64(5-len(c.removed))*100, m.Stats().Bytes, "the limit knows")
			if c.o.All {
				require.NoDirExists(t, filepath.Join(dir, "b"), "empty folders go too")
			}
		})
	}
}

func TestPruneGoesOnBehindABatch(t *testing.T) {
	for _, most := range []int{1, 2, 3, 5, 10} {
		for _, o := range []PruneOptions{{All: true}, {To: 1}, {OlderThan: time.Minute}, {To: 1, DryRun: true}} {
			m, _ := agedCache(t)
			var told []string
			o.Removed = func(f FileInfo) { told = append(told, f.Name) }
			p := &prune{m: m, o: o, now: time.Now(), after: oldFile{used: minTime}, most: most}
			require.NoError(t, p.run(t.Context()))
			require.Equal(t, []string{"a", "b/b", "b/c", "d", "e"}, told, "batches of %d", most)
			require.Zero(t, p.report.LeftBytes)
		}
	}
}

func TestPruneSparesWhatIsUsedMeanwhile(t *testing.T) {
	m, dir := agedCache(t)
	_, err := m.Prune(t.Context(), PruneOptions{To: 1, Removed: func(f FileInfo) {
		if f.Name == "a" {
			require.NoError(t, os.Chtimes(filepath.Join(dir, "d"), time.Now(), time.Now()))
		}
	}})
	require.NoError(t, err)
	require.Equal(t, []string{"d"}, cachedNames(t, m))
}

func TestPruneTakesUnfinishedFilesFirst(t *testing.T) {
	o := testorigin.New(t)
	m, dir := agedCache(t, WithSizeLimit(100<<20))
	require.Error(t, m.Download(o.ServeSize("/f", 4<<20, testorigin.ETag(`"v"`), testorigin.CutAfter(2<<20)), "f").Wait())
	require.Equal(t, int64(4<<20+500), m.Stats().Bytes)
	require.Error(t, m.Wait())

	report, err := m.Prune(t.Context(), PruneOptions{OlderThan: 30 * time.Minute, DryRun: true})
	require.NoError(t, err)
	require.Zero(t, report.Unfinished, "it is new")
	report, err = m.Prune(t.Context(), PruneOptions{To: 1 << 20})
	require.NoError(t, err)
	require.Equal(t, PruneReport{Unfinished: 1, UnfinishedBytes: 4 << 20, LeftBytes: 500}, report)
	requireNoPartials(t, dir)
	require.Equal(t, int64(500), m.Stats().Bytes)
}

func TestWhatIsDownloadedIsNotRemoved(t *testing.T) {
	o := testorigin.New(t)
	m, dir := agedCache(t)
	d := m.Download(o.Serve("/silent", nil, testorigin.Silent()), "a", WithForce())
	require.ErrorIs(t, m.Remove("a"), ErrInUse)
	report, err := m.Prune(t.Context(), PruneOptions{All: true})
	require.NoError(t, err)
	require.Equal(t, PruneReport{Files: 4, Bytes: 400, InUse: 1, InUseBytes: 100, LeftBytes: 100}, report)
	require.FileExists(t, filepath.Join(dir, "a"))
	d.Cancel()
	require.ErrorIs(t, d.Wait(), ErrCanceled)
	require.NoError(t, m.Remove("a"))
}

func TestWhatSomebodyHasOpenIsNotRemoved(t *testing.T) {
	m, dir := agedCache(t, WithSizeLimit(10_000))
	open, err := managerAt(t, dir).Open("a")
	require.NoError(t, err)
	used := time.Now().Add(-5 * time.Hour) // opening is a use
	require.NoError(t, os.Chtimes(open.Path(), used, used))
	require.ErrorIs(t, m.Remove("a"), ErrInUse)
	report, err := m.Prune(t.Context(), PruneOptions{To: 300})
	require.NoError(t, err)
	require.Equal(t, PruneReport{Files: 2, Bytes: 200, InUse: 1, InUseBytes: 100, LeftBytes: 300}, report)
	require.Equal(t, []string{"a", "d", "e"}, cachedNames(t, m))
	require.NoError(t, open.Close())
	require.NoError(t, m.Remove("a"))
}

func TestPruneReportsWhatCannotBeRemoved(t *testing.T) {
	faults := faultfs.New(afero.NewOsFs())
	m, _ := agedCache(t, WithFs(faults))
	remove := faults.Fail(faultfs.OpRemove, func(name string) bool { return strings.HasPrefix(filepath.Base(name), "b") }, os.ErrPermission)
	defer remove()
	report, err := m.Prune(t.Context(), PruneOptions{All: true})
	require.ErrorIs(t, err, os.ErrPermission)
	require.ErrorContains(t, err, `"b/b"`)
	require.Equal(t, PruneReport{Files: 4, Bytes: 400, LeftBytes: 100}, report)
}

func TestPruneLeavesAloneWhatIsNoCache(t *testing.T) {
	dir := t.TempDir()
	putAged(t, dir, "thesis.tex", 10, time.Hour)
	m := managerAt(t, dir)
	_, err := m.Prune(t.Context(), PruneOptions{All: true})
	require.ErrorIs(t, err, ErrNotCacheDir)
	require.FileExists(t, filepath.Join(dir, "thesis.tex"))
}

func TestPruneEndsWithItsContext(t *testing.T) {
	m, _ := agedCache(t)
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	report, err := m.Prune(ctx, PruneOptions{All: true, Removed: func(FileInfo) { cancel(why) }})
	require.ErrorIs(t, err, why)
	require.Equal(t, 1, report.Files)
	require.Len(t, cachedNames(t, m), 4)
	_, err = m.Prune(ctx, PruneOptions{All: true})
	require.ErrorIs(t, err, why)
}

func TestAnExistingCacheIsAskedFor(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	_, err := NewDownloadManager(missing, WithExisting())
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoDirExists(t, missing)
	_, err = NewDownloadManager(dir, WithExisting())
	require.ErrorIs(t, err, ErrNotCacheDir)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	_, err = NewDownloadManager(file, WithExisting())
	require.ErrorContains(t, err, "not a directory")
	require.NoError(t, os.Remove(file))
	require.NoError(t, managerAt(t, dir).Close())
	require.NoError(t, managerAt(t, dir, WithExisting()).Close())
}

func TestFilesAreWhatIsThere(t *testing.T) {
	o := testorigin.New(t)
	dir := t.TempDir()
	m := managerAt(t, dir)
	const sum = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
	url := o.Serve("/hello", []byte("hello\n"))
	before := time.Now().Add(-2 * time.Second)
	require.NoError(t, m.Download(url+"?key=s3cret", "x/hello", WithChecksum(sum)).Wait())
	putAged(t, dir, "alien", 3, time.Hour)
	require.NoError(t, os.Symlink("alien", filepath.Join(dir, "link")))

	byName := map[string]FileInfo{}
	for f, err := range m.Files() {
		require.NoError(t, err)
		byName[f.Name] = f
		same, err := m.Stat(f.Name)
		require.NoError(t, err)
		require.Equal(t, f, same)
	}
	require.Len(t, byName, 2)
	hello, alien := byName["x/hello"], byName["alien"]
	assert.Equal(t, filepath.Join(dir, "x", "hello"), hello.Path)
	assert.Equal(t, int64(6), hello.Size)
	assert.True(t, hello.LastUse.After(before) && hello.ModTime.After(before))
	r, ok := hello.Remembered()
	require.True(t, ok)
	assert.Equal(t, url+"?key=xxxxx", r.URL)
	assert.Equal(t, sum, r.Digest)
	assert.True(t, r.Fetched.After(before))
	_, ok = alien.Remembered()
	assert.False(t, ok)
	_, ok = FileInfo{}.Remembered()
	assert.False(t, ok)
	for range m.Files() {
		break // which ends it
	}
	require.NoError(t, m.Close())
	for f, err := range m.Files() {
		require.ErrorIs(t, err, ErrClosed)
		require.Zero(t, f)
	}
	_, err := m.Stat("alien")
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, m.Remove("alien"), ErrClosed)
	_, err = m.Prune(t.Context(), PruneOptions{All: true})
	require.ErrorIs(t, err, ErrClosed)
}

func TestRemove(t *testing.T) {
	o := testorigin.New(t)
	dir := t.TempDir()
	m := managerAt(t, dir, WithSizeLimit(100<<20))
	url := o.ServeSize("/f", 100)
	require.NoError(t, m.Download(url, "x/f").Wait())
	require.Equal(t, int64(100), m.Stats().Bytes)
	require.NoError(t, m.Remove("x/f"))
	require.Zero(t, m.Stats().Bytes)
	require.NoDirExists(t, filepath.Join(dir, "x"))
	require.ErrorIs(t, m.Remove("x/f"), ErrNotCached)
	_, err := m.Stat("x/f")
	require.ErrorIs(t, err, ErrNotCached)
	require.NoError(t, m.Download(url, "x/f").Wait())
	require.Equal(t, 2, o.Count("/f"), "it is fetched anew")
	require.ErrorIs(t, m.Remove("../up"), ErrInvalidName)
	require.ErrorIs(t, m.Remove(".dlm/format"), ErrInvalidName)
	require.Error(t, m.Remove("x"), "a folder")

	cut := o.ServeSize("/cut", 4<<20, testorigin.ETag(`"v"`), testorigin.CutAfter(2<<20))
	require.Error(t, m.Download(cut, "cut").Wait())
	require.NoError(t, m.Remove("cut"), "what is unfinished")
	requireNoPartials(t, dir)
	require.Equal(t, int64(100), m.Stats().Bytes)
	require.ErrorIs(t, m.Remove("cut"), ErrNotCached)
	require.Error(t, m.Wait())
}

func TestFilesInMemory(t *testing.T) {
	base := afero.NewMemMapFs()
	m := managerAt(t, "/cache", WithFs(base))
	for i := range 3 {
		require.NoError(t, afero.WriteFile(base, fmt.Sprintf("/cache/f%d", i), make([]byte, 10), 0o666))
	}
	require.Equal(t, []string{"f0", "f1", "f2"}, cachedNames(t, m))
	require.NoError(t, m.Remove("f1"))
	report, err := m.Prune(t.Context(), PruneOptions{To: 10})
	require.NoError(t, err)
	require.Equal(t, PruneReport{Files: 1, Bytes: 10, LeftBytes: 10}, report)
}
