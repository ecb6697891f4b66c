package fs

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whose file in alive somebody removed is taken for dead once, not again and again.
func TestAReservationIsAbsorbedOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	a, b := countedDir(t, dir), countedDir(t, dir)
	a.Count(Change{Reserved: 100})
	require.NoError(t, os.RemoveAll(filepath.Join(dir, aliveDir)))
	for range 5 {
		b.counter.swept = time.Time{}
		b.Sweep()
		a.Count(Change{Waiting: 1})
		a.Count(Change{Waiting: -1})
	}
	assert.LessOrEqual(t, b.Usage().All(), int64(200))
}

// A folder that cannot be read says nothing about who is alive.
func TestNobodyIsDeadBecauseAliveCannotBeRead(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := filepath.Join(t.TempDir(), "cache")
	a, b := countedDir(t, dir), countedDir(t, dir)
	a.Count(Change{Reserved: 100})
	alive := filepath.Join(dir, aliveDir)
	require.NoError(t, os.Chmod(alive, 0))
	b.Sweep()
	require.NoError(t, os.Chmod(alive, 0o777))
	u := b.Usage()
	assert.EqualValues(t, 100, u.Reserved)
	assert.Zero(t, u.Bytes)
}

// The change of the limit reaches the others although the count was not to be had
// at that moment.
func TestTheLimitIsToldLate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	a, b := countedDir(t, dir), countedDir(t, dir)
	before := b.Usage().Limits
	a.Usage()
	f, err := b.fsys.OpenFile(usageFile, os.O_RDWR, 0)
	require.NoError(t, err)
	locked, err := tryLock(f)
	require.NoError(t, err)
	require.True(t, locked)
	require.NoError(t, a.SetSizeLimit(1000))
	require.NoError(t, f.Close())
	a.counter.mu.Lock()
	a.counter.frozen = time.Time{}
	a.counter.mu.Unlock()
	a.Count(Change{})
	assert.NotEqual(t, before, b.Usage().Limits)
}

// What was counted while the count was not to be had is noted as soon as it is, also
// by who changes nothing more, or may not.
func TestWhatIsLateIsNotedSoon(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	a, b := countedDir(t, dir), countedDir(t, dir)
	hold := func() (release func()) {
		f, err := b.fsys.OpenFile(usageFile, os.O_RDWR, 0)
		require.NoError(t, err)
		locked, err := tryLock(f)
		require.NoError(t, err)
		require.True(t, locked)
		return func() { require.NoError(t, f.Close()) }
	}
	b.Usage()
	release := hold()
	a.Count(Change{Files: 1, Bytes: 100})
	release()
	require.Eventually(t, func() bool { return b.Usage().Bytes == 100 }, time.Minute, time.Millisecond)

	release = hold()
	a.Count(Change{Files: 1, Bytes: 100})
	a.counter.mu.Lock()
	a.counter.settle.Stop()
	a.counter.mu.Unlock()
	release()
	_, done := a.Count(Change{Reserved: 1, Limit: 1})
	require.False(t, done)
	assert.EqualValues(t, 200, b.Usage().Bytes)
}

// A look at all files remembers what was reserved when it began, whatever is since.
func TestARecountKnowsWhatWasReservedWhenItBegan(t *testing.T) {
	d := countedDir(t, filepath.Join(t.TempDir(), "cache"))
	small(d, 100)
	r := d.Recount()
	small(d, 30) // which changes what was seen last
	assert.EqualValues(t, 100, r.begun.claimed())
}

// What was left of the journal's or the settings' rewriting was never counted.
func TestOwnLeftoversAreNotCounted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	d := countedDir(t, dir)
	d.Count(Change{Files: 1, Bytes: 5000})
	for _, own := range []string{entryFile, tableFile} {
		p, err := ownSpot(d.fsys, own).CreateApart(0o666)
		require.NoError(t, err)
		_, err = p.WriteAt(make([]byte, 3000), 0)
		require.NoError(t, err)
		require.NoError(t, p.close()) // killed
		p.unlock()
	}
	require.NoError(t, d.Tidy(t.Context(), time.Now(), func(Leftover) {}))
	assert.EqualValues(t, 5000, d.Usage().Bytes)
}

// A file whose entry lies in the future is there as much as others.
func TestListingKeepsEntriesOfTheFuture(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	d := countedDir(t, dir)
	land(t, d, "file", "text")
	later := time.Now().Add(time.Hour)
	require.NoError(t, d.Record(Entry{Name: "file", Size: 4, ModTime: later, Fetched: later}))
	require.NoError(t, d.List(t.Context(), func(string, int64, time.Time) error { return nil }))
	_, known := d.Lookup("file")
	assert.True(t, known)
}
