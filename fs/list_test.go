package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// landRecorded puts a file with an entry into the directory.
func landRecorded(t *testing.T, d *Dir, name, content string, used time.Time) {
	t.Helper()
	land(t, d, name, content)
	e := sampleEntry(name)
	e.Size, e.ModTime, e.Fetched = int64(len(content)), used, used
	require.NoError(t, d.Record(e))
}

// listOf returns size and last use of all that List tells.
func listOf(t *testing.T, d *Dir) (sizes map[string]int64, used map[string]time.Time) {
	t.Helper()
	sizes, used = map[string]int64{}, map[string]time.Time{}
	require.NoError(t, d.List(t.Context(), func(name string, size int64, at time.Time) error {
		assert.NotContains(t, sizes, name, "told twice")
		sizes[name], used[name] = size, at
		return nil
	}))
	return sizes, used
}

func TestListTakesFromTheJournalWhatItKnows(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, dir string) {
		d := openDir(t, base, dir)
		long := time.Unix(1_600_000_000, 0)
		landRecorded(t, d, "known", "123", long)
		landRecorded(t, d, "a/b/known", "1234", long)
		landRecorded(t, d, "future", "12345", time.Now().Add(time.Hour))
		land(t, d, "a/unknown", "1")
		sizes, used := listOf(t, openDir(t, base, dir))
		assert.Equal(t, map[string]int64{"known": 3, "a/b/known": 4, "future": 5, "a/unknown": 1}, sizes)
		assert.Equal(t, long.Unix(), used["known"].Unix(), "without a look at it")
		assert.Equal(t, long.Unix(), used["a/b/known"].Unix())
		assert.WithinDuration(t, time.Now(), used["a/unknown"], time.Hour)
		assert.WithinDuration(t, time.Now(), used["future"], 30*time.Minute, "a time that cannot be is looked up")
	})
}

func TestListForgetsTheEntriesOfWhatOthersRemoved(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	landRecorded(t, d, "there", "1", time.Unix(1, 0))
	landRecorded(t, d, "gone", "1", time.Unix(1, 0))
	require.NoError(t, os.Remove(d.Path("gone")))
	_, ok := d.Lookup("gone")
	require.True(t, ok)
	sizes, _ := listOf(t, d)
	assert.Len(t, sizes, 1)
	_, ok = d.Lookup("gone")
	assert.False(t, ok)
	_, ok = d.Lookup("there")
	assert.True(t, ok)
	landRecorded(t, d, "gone", "12", time.Unix(1, 0))
	_, ok = d.Lookup("gone")
	assert.True(t, ok, "there again")
}

func TestAFakedJournalDeceivesOnlyTheOrder(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "file", "12345")
	land(t, d, "folder/inside", "1")
	for _, name := range []string{"file", "folder", "nothing", ".dlm", ".dlm/entries", "../outside", "CACHEDIR.TAG"} {
		e := sampleEntry(name)
		e.Size = 1 << 62
		require.NoError(t, d.Record(e))
	}
	sizes, _ := listOf(t, openDir(t, afero.NewOsFs(), d.Root()))
	assert.Len(t, sizes, 2)
	assert.EqualValues(t, int64(mostIndexSize), sizes["file"])
	assert.EqualValues(t, 1, sizes["folder/inside"])
	info, err := d.Stat("file")
	require.NoError(t, err)
	assert.EqualValues(t, 5, info.Size)
}

func TestWalkComesToEveryFileOnce(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, dir string) {
		d := openDir(t, base, dir)
		want := map[string]bool{}
		add := func(name string) {
			want[name] = true
			require.NoError(t, d.fsys.MkdirAll(path.Dir(name), 0o777))
			require.NoError(t, afero.WriteFile(d.fsys, name, []byte("x"), 0o666))
		}
		for i := range 2*walkBatch + 7 { // a large folder and many small ones, some of them deep
			add(fmt.Sprint("large/", i))
		}
		for i := range 50 {
			add(fmt.Sprintf("%d/%d/%d/file", i%7, i%5, i))
		}
		got := map[string]bool{}
		require.NoError(t, d.Walk(t.Context(), func(name string, info Info) error {
			require.False(t, got[name], name)
			got[name] = true
			assert.EqualValues(t, 1, info.Size)
			return nil
		}))
		assert.Equal(t, want, got)
		told := 0
		stop := errors.New("stop")
		require.ErrorIs(t, d.Walk(t.Context(), func(string, Info) error { told++; return stop }), stop)
		assert.Equal(t, 1, told)
		ctx, cancel := context.WithCancelCause(t.Context())
		require.ErrorIs(t, d.Walk(ctx, func(string, Info) error { cancel(stop); return nil }), stop)
	})
}

func TestWalkSeesWhatALookSees(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "a/file", "12345")
	when := time.Unix(1_500_000_000, 42)
	require.NoError(t, os.Chtimes(d.Path("a/file"), when.Add(time.Minute), when))
	require.NoError(t, os.Chmod(d.Path("a/file"), 0o751))
	require.NoError(t, os.Symlink("file", d.Path("a/link")))
	want, err := d.Stat("a/file")
	require.NoError(t, err)
	require.NoError(t, d.Walk(t.Context(), func(name string, got Info) error {
		assert.Equal(t, "a/file", name)
		assert.Equal(t, want, got)
		return nil
	}))
}
