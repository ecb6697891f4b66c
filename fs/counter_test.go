package fs

import (
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

func countedDir(t testing.TB, dir string) *Dir {
	t.Helper()
	d, err := Open(afero.NewOsFs(), dir, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func TestAnEmptyDirectoryIsCounted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	a, b := countedDir(t, dir), countedDir(t, dir)
	require.True(t, a.Usage().Known)
	_, done := a.Count(Change{Reserved: 60, Limit: 100})
	require.True(t, done)
	u, done := b.Count(Change{Reserved: 41, Limit: 100})
	require.False(t, done, "what others have reserved counts")
	assert.EqualValues(t, 60, u.Reserved)
	assert.Zero(t, u.Mine)
	a.Count(Change{Files: 1, Bytes: 50, Reserved: -60})
	u, done = b.Count(Change{Reserved: 41, Limit: 100})
	require.True(t, done)
	assert.EqualValues(t, 91, u.All())
	assert.EqualValues(t, 50, u.Others)
	assert.EqualValues(t, 41, u.Mine)
	require.NoError(t, b.Close())
	u = a.Usage()
	assert.Zero(t, u.Reserved, "who leaves has reserved nothing")
	assert.EqualValues(t, 1, u.Files)
	alive, err := os.ReadDir(filepath.Join(dir, aliveDir))
	require.NoError(t, err)
	assert.Len(t, alive, 1)
}

func TestOfManyAtOnceNoChangeIsLost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	var wg sync.WaitGroup
	for range 4 {
		d := countedDir(t, dir)
		for range 2 {
			wg.Go(func() {
				for range 100 {
					d.Count(Change{Reserved: 3})
					d.Count(Change{Files: 1, Bytes: 2, Reserved: -3})
				}
			})
		}
	}
	wg.Wait()
	u := countedDir(t, dir).Usage()
	assert.EqualValues(t, 800, u.Files)
	assert.EqualValues(t, 1600, u.Bytes)
	assert.Zero(t, u.Reserved)
}

// small is what a small file's download counts, with what is reserved ahead.
func small(d *Dir, size int64) (land func()) {
	d.Count(Change{Reserved: size, Ahead: 1 << 20, Limit: 10 << 20})
	return func() { d.Count(Change{Files: 1, Bytes: size, Reserved: -size}) }
}

func TestABurstOfSmallFilesIsNotedTogether(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	d := countedDir(t, dir)
	before := d.Usage().Changes
	var last func()
	for range 200 {
		land := small(d, 100)
		if last != nil {
			last()
		}
		last = land
		assert.LessOrEqual(t, d.LastUsage().Mine, int64(200), "what is ahead is nobody's yet")
	}
	last()
	u := d.LastUsage()
	assert.EqualValues(t, 200, u.Files)
	assert.EqualValues(t, 20_000, u.Bytes)
	assert.Zero(t, u.Mine)
	assert.Zero(t, u.Reserved)
	// On a machine that stands still for a while, what was left is noted in between.
	assert.Less(t, u.Changes-before, int64(100), "of 400")
	other := countedDir(t, dir)
	assert.GreaterOrEqual(t, other.Usage().All(), int64(20_000), "others never see less than there is")
	require.Eventually(t, func() bool { return other.Usage().Files == 200 }, time.Minute, time.Millisecond)
	assert.EqualValues(t, 20_000, other.Usage().All(), "nothing stays reserved ahead")
}

func TestSmallFilesOneByOneAreNotedTogether(t *testing.T) {
	d := countedDir(t, filepath.Join(t.TempDir(), "cache"))
	before := d.Usage().Changes
	for range 2000 {
		small(d, 100)() // none is under way with another
	}
	u := d.LastUsage()
	assert.EqualValues(t, 2000, u.Files)
	// On a machine that stands still for a while, what was left is noted in between.
	assert.Less(t, u.Changes-before, int64(1000), "of 4000")
}

func TestAFewFilesAreNotedAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	d, other := countedDir(t, dir), countedDir(t, dir)
	for n := range int64(burst/2 - 1) {
		small(d, 100)()
		u := other.Usage()
		assert.EqualValues(t, n+1, u.Files)
		assert.EqualValues(t, 100*(n+1), u.All())
	}
}

func TestNothingIsReservedAheadThatDoesNotFit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	d, other := countedDir(t, dir), countedDir(t, dir)
	_, done := d.Count(Change{Reserved: 60, Ahead: 50, Limit: 100})
	require.True(t, done)
	assert.EqualValues(t, 60, other.Usage().All())
	_, done = d.Count(Change{Reserved: 1, Ahead: 39, Limit: 100})
	require.True(t, done)
	assert.EqualValues(t, 100, other.Usage().All())
	_, done = other.Count(Change{Reserved: 1, Limit: 100})
	assert.False(t, done)
	_, done = d.Count(Change{Reserved: 40, Limit: 100})
	assert.False(t, done, "what is ahead is part of the limit")
	_, done = d.Count(Change{Waiting: 61})
	require.True(t, done)
	u := other.Usage()
	assert.Equal(t, u.Waiting, u.Reserved, "who waits reserves nothing ahead")
}

func TestWhatWasAheadOfTheDeadCountsUntilFilesAreCounted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	d := countedDir(t, dir)
	land := small(d, 100)
	small(d, 100)
	land()
	other := countedDir(t, dir)
	func() { // as if d's process had been killed
		d.counter.mu.Lock()
		defer d.counter.mu.Unlock()
		require.NoError(t, d.counter.alive.Close())
		d.counter.alive, d.counter.off = nil, true
	}()
	other.counter.swept = time.Time{}
	other.Sweep()
	u := other.Usage()
	assert.Zero(t, u.Reserved)
	assert.GreaterOrEqual(t, u.Bytes, int64(200))
	r := other.Recount()
	r.File(100)
	r.Leftover(100)
	r.End(time.Now())
	assert.EqualValues(t, 200, other.Usage().Bytes)
}

func TestACountThatIsLostIsBegunAnew(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"removed": os.Remove,
		"torn":    func(path string) error { return os.Truncate(path, 20) },
		"zeroed":  func(path string) error { return os.WriteFile(path, make([]byte, 200), 0o666) },
		"emptied": func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "removed" && runtime.GOOS == "windows" {
				return // it does not remove what is open
			}
			dir := filepath.Join(t.TempDir(), "cache")
			d, other := countedDir(t, dir), countedDir(t, dir)
			d.Count(Change{Files: 1, Bytes: 50, Reserved: 7})
			require.NoError(t, spoil(filepath.Join(dir, usageFile)))
			d.counter.checked, other.counter.checked = time.Time{}, time.Time{}
			u := other.Usage()
			assert.False(t, u.Known)
			r := other.Recount()
			r.File(50)
			r.Leftover(5)
			r.End(time.Now())
			u = d.Usage()
			assert.True(t, u.Known)
			assert.EqualValues(t, 55, u.Bytes)
			assert.EqualValues(t, 1, u.Files)
			d.Count(Change{Reserved: 1})
			assert.EqualValues(t, 8, other.Usage().Reserved, "what is reserved is known to who reserved it")
		})
	}
}

func TestWhatIsNoPlainFileIsNotOpened(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	require.NoError(t, countedDir(t, dir).Close())
	victim := filepath.Join(t.TempDir(), "victim")
	require.NoError(t, os.WriteFile(victim, []byte("x"), 0o666))
	require.NoError(t, os.Remove(filepath.Join(dir, usageFile)))
	if err := os.Symlink(victim, filepath.Join(dir, usageFile)); err != nil {
		t.Skip(err)
	}
	d := countedDir(t, dir)
	_, done := d.Count(Change{Reserved: 100, Limit: 1})
	assert.True(t, done, "each counts for himself")
	assert.False(t, d.Counts())
	text, err := os.ReadFile(victim)
	require.NoError(t, err)
	assert.Equal(t, "x", string(text))
}

func TestTheDeadReserveNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	d := countedDir(t, dir)
	dead, living := countedDir(t, dir), countedDir(t, dir)
	dead.Count(Change{Reserved: 30})
	living.Count(Change{Reserved: 5})
	// As when its process is killed: the lock is gone, the rest stays.
	require.NoError(t, dead.counter.alive.Close())
	dead.counter.alive = nil
	d.Sweep()
	u := d.Usage()
	assert.EqualValues(t, 5, u.Reserved)
	assert.EqualValues(t, 30, u.Bytes, "until the files are counted, it may have left them")
	alive, err := os.ReadDir(filepath.Join(dir, aliveDir))
	require.NoError(t, err)
	assert.Len(t, alive, 1)
	dead.counter.mine = claimed{id: dead.counter.id}
}

func TestNobodyWaitsForAStoppedProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	d, stopped := countedDir(t, dir), countedDir(t, dir)
	d.Count(Change{Files: 1, Bytes: 1})
	stopped.Usage()
	locked, err := tryLock(stopped.counter.file)
	require.NoError(t, err)
	require.True(t, locked)
	u, done := d.Count(Change{Files: 1, Bytes: 10, Reserved: 4})
	require.True(t, done)
	assert.EqualValues(t, 15, u.All(), "it counts for itself")
	d.Count(Change{Files: 1, Bytes: 10})
	require.NoError(t, unlockFile(stopped.counter.file))
	d.Count(Change{Bytes: 100})
	u = stopped.Usage()
	assert.EqualValues(t, 121, u.Bytes, "what is late is noted")
	assert.EqualValues(t, 3, u.Files)
	assert.EqualValues(t, 4, u.Reserved)
}

func TestInMemoryEachCountsForHimself(t *testing.T) {
	base := afero.NewMemMapFs()
	d, err := Open(base, "/cache", Options{})
	require.NoError(t, err)
	defer d.Close()
	_, done := d.Count(Change{Reserved: 100, Limit: 1})
	assert.True(t, done)
	assert.False(t, d.Usage().Known)
	exists, err := afero.Exists(base, "/cache/"+usageFile)
	require.NoError(t, err)
	assert.False(t, exists)
}

func TestRemovalIsCounted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	d := countedDir(t, dir)
	require.NoError(t, os.WriteFile(d.Path("a"), make([]byte, 10), 0o666))
	d.Count(Change{Files: 1, Bytes: 10})
	require.NoError(t, d.Remove("a"))
	require.ErrorIs(t, d.Remove("a"), os.ErrNotExist)
	u := d.Usage()
	assert.Zero(t, u.All())
	assert.Zero(t, u.Files)
	assert.True(t, u.Known)
}

func TestTheDirectorysLimitIsChangedForAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	a, b := countedDir(t, dir), countedDir(t, dir)
	config := a.Path(configFile)
	require.NoError(t, os.WriteFile(config, []byte(`{"sizeLimit": 5, "new": [1]}`), 0o666))
	before := b.Usage().Limits
	require.NoError(t, a.SetSizeLimit(77))
	assert.EqualValues(t, 77, a.SizeLimit())
	assert.NotEqual(t, before, b.Usage().Limits, "the others are told")
	got, err := b.ReadSizeLimit()
	require.NoError(t, err)
	assert.EqualValues(t, 77, got)
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"new"`, "what a newer program has set stays")
	require.NoError(t, a.SetSizeLimit(-1))
	got, err = b.ReadSizeLimit()
	require.NoError(t, err)
	assert.Zero(t, got)

	foreign := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(foreign, "x"), nil, 0o666))
	require.ErrorIs(t, countedDir(t, foreign).SetSizeLimit(5), ErrNotCacheDir)
}

func BenchmarkCount(b *testing.B) {
	d := countedDir(b, filepath.Join(b.TempDir(), "cache"))
	for b.Loop() {
		d.Count(Change{Reserved: 1000, Limit: 1 << 40})
		d.Count(Change{Files: 1, Bytes: 1000, Reserved: -1000})
	}
}
