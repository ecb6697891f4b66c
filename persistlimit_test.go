package dlmanager

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// limitOption sets the configuration of a limit directly.
type limitOption func(*limitConfig)

func (o limitOption) applyLimit(c *limitConfig) { o(c) }

// newYear is when the first of the test's files was used; number n was n
// minutes later.
var newYear = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func minute(n int) time.Time { return newYear.Add(time.Duration(n) * time.Minute) }

// sixFiles makes files a to f of 10 bytes in a new directory, a the oldest.
func sixFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i, name := range strings.Split("abcdef", "") {
		writeUsed(t, filepath.Join(dir, name), 10, minute(i))
	}
	return dir
}

func writeUsed(t testing.TB, path string, size int, used time.Time) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, make([]byte, size), 0o666))
	require.NoError(t, os.Chtimes(path, used, used))
}

// namesIn returns the base names in dir, in one string.
func namesIn(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names string
	for _, e := range entries {
		names += e.Name()
	}
	return names
}

func TestPersistLimitRemovesTheOldestDownToTheLimit(t *testing.T) {
	for _, tt := range []struct {
		size int64
		keep int
		want string
	}{
		{10, 5, "bcdef"},
		{10, 3, "def"},
		{0, 5, "abcdef"},
		{5, 0, "abcdef"},
		{-1, 5, "abcdef"},
		{10, -1, "abcdef"},
		{35, 1, "def"},
		{30, 1, "def"}, // exactly at the limit stays
		{29, 1, "ef"},
		{60, 1, "abcdef"},
		{59, 1, "bcdef"},
		{10, 1, "f"},
		{10, 6, "abcdef"},
		{9, 3, "def"}, // each is larger than the limit
		{9, 7, "abcdef"},
		{math.MaxInt64, 1, "abcdef"},
	} {
		t.Run(fmt.Sprintf("%d bytes, %d files", tt.size, tt.keep), func(t *testing.T) {
			dir := sixFiles(t)
			p := NewPersistLimit(tt.size, tt.keep)
			require.NoError(t, p.RegisterDirContent(dir, "*"))
			removed, err := p.RemoveOldFiles()
			require.NoError(t, err)
			assert.Equal(t, tt.want, namesIn(t, dir))

			gone := ""
			for i, r := range removed {
				gone += filepath.Base(r.Path)
				assert.Equal(t, filepath.Join(dir, filepath.Base(r.Path)), r.Path)
				assert.Equal(t, int64(10), r.Size)
				assert.True(t, r.LastUse.Equal(minute(i)), r.LastUse)
			}
			assert.Equal(t, strings.TrimSuffix("abcdef", tt.want), gone, "oldest first")
			assert.Equal(t, len(tt.want), p.Usage().Files)
			assert.Equal(t, int64(10*len(tt.want)), p.Usage().Bytes)
		})
	}
}

func TestUsageOfADisabledLimit(t *testing.T) {
	p := NewPersistLimit(0, 5)
	require.NoError(t, p.RegisterDirContent(sixFiles(t), "*"))
	assert.False(t, p.enabled())
	assert.Equal(t, LimitUsage{Files: 6, Bytes: 60}, p.Usage())
	assert.True(t, NewPersistLimit(1, 1).enabled())
}

func TestRegisteringTwiceCountsOnce(t *testing.T) {
	dir := sixFiles(t)
	p := NewPersistLimit(60, 1)
	require.NoError(t, p.RegisterDirContent(dir, "*"))
	require.NoError(t, p.RegisterDirContent(dir, "[ab]"))
	require.NoError(t, p.RegisterFile(filepath.Join(dir, "c")))
	require.NoError(t, p.RegisterFile(dir+"/./x/../c"))
	assert.Equal(t, LimitUsage{Files: 6, Bytes: 60, Limit: 60}, p.Usage())

	writeUsed(t, filepath.Join(dir, "c"), 17, minute(2))
	require.NoError(t, p.RegisterFile(filepath.Join(dir, "c")))
	assert.Equal(t, LimitUsage{Files: 6, Bytes: 67, Limit: 60, Over: 7, Newest: 10, Why: []Reason{ReasonFileLimit}}, p.Usage(), "the size is read again")

	t.Chdir(dir)
	require.NoError(t, p.RegisterFile("c"))
	assert.Equal(t, 6, p.Usage().Files, "a relative path is the same file")
}

func TestRegisterDirContentTakesMatchingRegularFilesOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd [name]*")
	if runtime.GOOS == "windows" {
		dir = strings.TrimSuffix(dir, "*")
	}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub.bin"), 0o777))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".dlm", "partial"), 0o777))
	for _, name := range []string{
		"a.bin", "b.bin", "c.txt", ".x-1.bin." + strings.Repeat("0", 20) + ".part", "CACHEDIR.TAG",
		"sub.bin/inner.bin", ".dlm/x.bin", ".dlm/partial/k.part",
	} {
		writeUsed(t, filepath.Join(dir, name), 10, newYear)
	}
	if err := os.Symlink(filepath.Join(dir, "a.bin"), filepath.Join(dir, "link.bin")); err != nil {
		t.Log("no symbolic links here:", err)
	}
	p := NewPersistLimit(1, 1)
	require.NoError(t, p.RegisterDirContent(dir, "*.bin"))
	assert.Equal(t, 2, p.Usage().Files)
	require.NoError(t, p.RegisterDirContent(dir, "*"))
	assert.Equal(t, 3, p.Usage().Files)
	require.NoError(t, p.RegisterDirContent(dir, ""))
	require.NoError(t, p.RegisterDirContent(dir, "none"))
	assert.Equal(t, 3, p.Usage().Files)
}

func TestRegisterRefuses(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".dlm"), 0o777))
	hidden := ".file." + strings.Repeat("0", 20) + ".part"
	for _, name := range []string{"file", ".dlm/entries", hidden, "CACHEDIR.TAG"} {
		writeUsed(t, filepath.Join(dir, name), 1, newYear)
	}
	p := NewPersistLimit(1, 1)
	for _, tt := range []struct {
		name string
		want error
	}{
		{"missing", os.ErrNotExist},
		{".", errNotRegular},
		{".dlm/entries", errOwnFile},
		{".DLM/entries", errOwnFile},
		{hidden, errOwnFile},
		{"CACHEDIR.TAG", errOwnFile},
	} {
		err := p.RegisterFile(filepath.Join(dir, tt.name))
		require.ErrorIs(t, err, tt.want, tt.name)
		assert.Contains(t, err.Error(), filepath.Join(dir, tt.name))
	}
	require.ErrorIs(t, p.RegisterDirContent(filepath.Join(dir, "missing"), "*"), os.ErrNotExist)
	require.ErrorIs(t, p.RegisterDirContent(dir, "[a"), filepath.ErrBadPattern)
	require.ErrorIs(t, p.RegisterDirContent(filepath.Join(dir, ".dlm"), "*"), errOwnFile)
	require.Error(t, p.RegisterDirContent(filepath.Join(dir, "file"), "*"))
	assert.Zero(t, p.Usage().Files)
}

func TestTimesAreReadWhenTheyMatter(t *testing.T) {
	for _, tt := range []struct {
		name         string
		atime, mtime time.Time
	}{
		{"read", minute(60), minute(0)},
		{"written", minute(0), minute(60)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := sixFiles(t)
			p := NewPersistLimit(30, 1)
			require.NoError(t, p.RegisterDirContent(dir, "*"))
			require.NoError(t, os.Chtimes(filepath.Join(dir, "a"), tt.atime, tt.mtime))
			removed, err := p.trim(t.Context(), false)
			require.NoError(t, err)
			assert.Len(t, removed, 3)
			assert.Equal(t, "aef", namesIn(t, dir))
		})
	}
}

func TestRemovalByOthersDoesNotSkewTheTotal(t *testing.T) {
	for _, tt := range []struct{ removed, want string }{
		{"a", "def"}, {"ab", "def"}, {"f", "cde"}, {"bdf", "ace"}, {"abc", "def"}, {"abcdef", ""},
	} {
		t.Run(tt.removed, func(t *testing.T) {
			dir := sixFiles(t)
			p := NewPersistLimit(35, 1)
			require.NoError(t, p.RegisterDirContent(dir, "*"))
			for _, name := range strings.Split(tt.removed, "") {
				require.NoError(t, os.Remove(filepath.Join(dir, name)))
			}
			removed, err := p.RemoveOldFiles()
			require.NoError(t, err, "a file that is gone is no error")
			assert.Equal(t, tt.want, namesIn(t, dir))
			assert.Len(t, removed, 6-len(tt.removed)-len(tt.want), "nobody else's removal is reported")
			assert.Equal(t, int64(10*len(tt.want)), p.Usage().Bytes)
		})
	}
}

func TestWhatIsNoRegularFileAnyMoreIsGone(t *testing.T) {
	dir := sixFiles(t)
	p := NewPersistLimit(10, 1)
	require.NoError(t, p.RegisterDirContent(dir, "*"))
	require.NoError(t, os.Remove(filepath.Join(dir, "a")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "a"), 0o777))
	require.NoError(t, os.Chtimes(filepath.Join(dir, "a"), minute(0), minute(0)))
	_, err := p.RemoveOldFiles()
	require.NoError(t, err)
	assert.Equal(t, "af", namesIn(t, dir))
}

func TestOtherFileSystems(t *testing.T) {
	for name, wrap := range map[string]func(afero.Fs) afero.Fs{
		"MemMapFs":      func(fsys afero.Fs) afero.Fs { return fsys },
		"without Lstat": func(fsys afero.Fs) afero.Fs { return struct{ afero.Fs }{fsys} },
	} {
		t.Run(name, func(t *testing.T) {
			mem := wrap(afero.NewMemMapFs())
			for i, name := range strings.Split("abcdef", "") {
				require.NoError(t, afero.WriteFile(mem, "/cache/"+name, make([]byte, 10), 0o666))
				require.NoError(t, mem.Chtimes("/cache/"+name, time.Time{}, minute(i)))
			}
			require.NoError(t, mem.Chtimes("/cache/c", time.Time{}, time.Time{})) // the year 1
			p := NewPersistLimit(35, 1, limitOption(func(c *limitConfig) { c.fs = mem }))
			require.NoError(t, p.RegisterDirContent("/cache", "*"))
			removed, err := p.RemoveOldFiles()
			require.NoError(t, err)
			require.Len(t, removed, 3)
			for i, name := range []string{"c", "a", "b"} {
				assert.Equal(t, name, filepath.Base(removed[i].Path))
			}
			assert.Equal(t, 3, p.Usage().Files)
		})
	}
}

func TestPlainFilesLogWhatHappens(t *testing.T) {
	var log strings.Builder
	dir := sixFiles(t)
	p := NewPersistLimit(15, 2, limitOption(func(c *limitConfig) {
		c.logger = slog.New(slog.NewTextHandler(&log, nil))
	}))
	require.NoError(t, p.RegisterDirContent(dir, "*"))
	_, err := p.RemoveOldFiles()
	require.NoError(t, err)
	assert.Equal(t, 4, strings.Count(log.String(), "evicted"))
	assert.Equal(t, 1, strings.Count(log.String(), "level=WARN"))
	assert.Contains(t, log.String(), "over=5")
}

func TestOneDirectoryIsAccountedOnce(t *testing.T) {
	dir := sixFiles(t)
	manager, second := newFakeShelf(), newFakeShelf()
	manager.root, second.root = dir, dir
	p := NewPersistLimit(1000, 1)
	require.NoError(t, p.RegisterDirContent(dir, "*")) // before the manager
	manager.fill(p, "abc")
	second.fill(p, "abcde")
	require.NoError(t, p.RegisterDirContent(dir, "*")) // and after
	assert.Equal(t, LimitUsage{Files: 6, Bytes: 60, Limit: 1000}, p.Usage())
	p.check(t)
	p.forgetShelf(manager)
	assert.Equal(t, 6, p.Usage().Files, "another manager is there")
	p.forgetShelf(second)
	assert.Zero(t, p.Usage().Files)
	p.check(t)
}
