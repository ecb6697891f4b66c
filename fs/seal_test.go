package fs

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bootedDir opens a directory in a machine that was started at boot; "" stands for
// one that cannot tell.
func bootedDir(t *testing.T, path, boot string) *Dir {
	t.Helper()
	d := openDir(t, afero.NewOsFs(), path)
	d.boot = boot
	return d
}

// landSealed puts a finished file with its entry into the directory.
func landSealed(t *testing.T, d *Dir, name, content string, mode SyncMode) Info {
	t.Helper()
	p, err := create(d, name, 0o666)
	require.NoError(t, err)
	_, err = p.WriteAt([]byte(content), 0)
	require.NoError(t, err)
	before := time.Now()
	size, written, err := p.Stat()
	require.NoError(t, err)
	at, err := p.Seal(d, mode, size, written)
	require.NoError(t, err)
	assert.False(t, at.After(before), "no file comes from the future")
	assert.WithinDuration(t, before, at, time.Minute)
	if mode == SyncNone {
		require.NoError(t, d.NoteUnsynced())
	}
	require.NoError(t, p.Commit(mode))
	info, err := d.Stat(name)
	require.NoError(t, err)
	require.Equal(t, at, info.ModTime)
	e := sampleEntry(name)
	e.Size, e.ModTime, e.Unsynced = info.Size, at, d.State(mode)
	require.NoError(t, d.Record(e))
	return info
}

func TestASealIsOfSizeAndState(t *testing.T) {
	seen := map[time.Duration]bool{}
	for _, size := range []int64{0, 1, 4096, 1 << 40} {
		for _, state := range []string{flushed, "first", "second"} {
			s := seal(size, state)
			assert.Positive(t, s)
			assert.Less(t, s, time.Second)
			assert.Zero(t, s%sealUnit)
			assert.False(t, seen[s])
			seen[s] = true
			for _, at := range []time.Time{time.Unix(1000, 0), time.Unix(1000, 999999999), time.Now()} {
				got := sealed(at, size, state)
				assert.False(t, got.After(at))
				assert.Less(t, at.Sub(got), time.Second)
				assert.EqualValues(t, s, got.Nanosecond())
			}
		}
	}
}

func TestConditions(t *testing.T) {
	chtimes := func(at time.Time) func(*testing.T, string) {
		return func(t *testing.T, path string) { require.NoError(t, os.Chtimes(path, at, at)) }
	}
	cut := func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 2)) }
	forget := func(t *testing.T, path string) {
		require.NoError(t, os.Truncate(filepath.Join(filepath.Dir(path), entryFile), 0))
	}
	nothing := func(*testing.T, string) {}
	for what, c := range map[string]struct {
		mode   SyncMode
		first  string // start of the machine when it landed
		later  string
		change func(*testing.T, string)
		want   Condition
	}{
		"flushed":                       {SyncFile, "1", "2", nothing, Intact},
		"flushed, forgotten":            {SyncFile, "1", "2", forget, Intact},
		"flushed, cut":                  {SyncFile, "1", "1", cut, Damaged},
		"flushed, touched":              {SyncFile, "1", "1", chtimes(time.Unix(1e9, 5)), Suspect},
		"flushed, a whole second":       {SyncFile, "1", "1", chtimes(time.Unix(1e9, 0)), Suspect},
		"not flushed":                   {SyncNone, "1", "1", nothing, Intact},
		"not flushed, forgotten":        {SyncNone, "1", "1", forget, Intact},
		"not flushed, restarted":        {SyncNone, "1", "2", nothing, Suspect},
		"not flushed, restarted, lost":  {SyncNone, "1", "2", forget, Damaged},
		"not flushed, restarted, cut":   {SyncNone, "1", "2", cut, Damaged},
		"not flushed, nobody can tell":  {SyncNone, "", "", nothing, Suspect},
		"not flushed, a later one can":  {SyncNone, "", "1", nothing, Suspect},
		"not flushed, and nothing left": {SyncNone, "", "", forget, Damaged},
	} {
		t.Run(what, func(t *testing.T) {
			path := t.TempDir() + "/cache"
			landSealed(t, bootedDir(t, path, c.first), "file", "content", c.mode)
			c.change(t, filepath.Join(path, "file"))
			d := bootedDir(t, path, c.later)
			info, err := d.Stat("file")
			require.NoError(t, err)
			assert.Equal(t, c.want, d.Condition("file", info))
		})
	}
}

func TestWhatIsSettledIsIntact(t *testing.T) {
	for _, later := range []string{"2", ""} {
		path := t.TempDir() + "/cache"
		landSealed(t, bootedDir(t, path, "1"), "file", "content", SyncNone)
		d := bootedDir(t, path, later)
		info, err := d.Stat("file")
		require.NoError(t, err)
		require.Equal(t, Suspect, d.Condition("file", info))
		e, _ := d.Lookup("file")
		assert.Equal(t, flushed, d.Settle(e, info).Unsynced)
		for _, boot := range []string{later, "3"} {
			again := bootedDir(t, path, boot)
			info, err = again.Stat("file")
			require.NoError(t, err)
			assert.Equal(t, Intact, again.Condition("file", info))
			assert.True(t, again.holds(info))
			e, known := again.Entry("file", info)
			require.True(t, known)
			assert.Equal(t, flushed, e.Unsynced)
		}
	}
}

func TestSettlingSparesAnotherFile(t *testing.T) {
	d := bootedDir(t, t.TempDir()+"/cache", "1")
	info := landSealed(t, d, "file", "content", SyncNone)
	e, _ := d.Lookup("file")
	require.NoError(t, d.Remove("file"))
	other := landSealed(t, d, "file", "another content", SyncNone)
	d.boot = "2"
	d.Settle(e, info)
	now, err := d.Stat("file")
	require.NoError(t, err)
	assert.Equal(t, other.ModTime, now.ModTime)
	known, _ := d.Lookup("file")
	assert.EqualValues(t, len("another content"), known.Size)
}

func TestFilesThatWereNotFlushedAreNotedOnceAStart(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		for _, boot := range []string{"1", "1", "2", "3"} {
			d := openDir(t, base, path)
			d.boot = boot
			require.NoError(t, d.NoteUnsynced())
			require.NoError(t, d.NoteUnsynced())
		}
		d := openDir(t, base, path)
		assert.Equal(t, []string{earlierBoots, "3"}, d.unsyncedBoots())
		d.boot = "3"
		assert.True(t, d.mayBeUnsynced(), "before that start there were some, too")
	})
}
