package fs

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/journal"
)

func numbered(i int) Entry {
	e := sampleEntry(fmt.Sprintf("folder/file-%05d", i))
	e.Size = int64(i)
	return e
}

// manyEntries are enough for a table: over 1 MiB.
const manyEntries = 9000

// withTable returns the path of a cache on base whose journal has a table.
func withTable(t testing.TB, base afero.Fs, path string) string {
	t.Helper()
	d, err := Open(base, path, Options{})
	require.NoError(t, err)
	d.entries.compacting.Store(true) // so that all are in the table
	for i := range manyEntries {
		require.NoError(t, d.Record(numbered(i)))
	}
	_, ok := d.Lookup(numbered(0).Name)
	require.True(t, ok)
	require.NoError(t, d.Close())
	_, err = base.Stat(filepath.Join(path, tableFile))
	require.NoError(t, err)
	return path
}

// requireEntries asserts that the files have the entries that were recorded, and
// others none.
func requireEntries(t *testing.T, d *Dir, files ...int) {
	t.Helper()
	for _, i := range files {
		e, ok := d.Lookup(numbered(i).Name)
		require.True(t, ok, "%d", i)
		require.Equal(t, numbered(i), utc(e))
	}
	_, ok := d.Lookup("folder/unheard-of")
	require.False(t, ok)
}

func TestALookupReadsWhatCameSinceTheTable(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		withTable(t, base, path)
		writer := openDir(t, base, path)
		writer.entries.compacting.Store(true) // which would leave another table
		writer.forget(numbered(1).Name)
		changed := numbered(2)
		changed.ETag = `"another"`
		require.NoError(t, writer.Record(changed))
		writer.forget(numbered(3).Name)
		require.NoError(t, writer.Record(numbered(3)))
		require.NoError(t, writer.Record(numbered(manyEntries)))

		d := openDir(t, base, path)
		requireEntries(t, d, 0, 3, 4, manyEntries/2, manyEntries-1, manyEntries)
		_, ok := d.Lookup(numbered(1).Name)
		assert.False(t, ok, "it was removed")
		e, ok := d.Lookup(changed.Name)
		assert.True(t, ok)
		assert.Equal(t, `"another"`, e.ETag)
		require.NotNil(t, d.entries.saved)
		assert.Equal(t, 4, d.entries.index.n, "no more is in memory than what came since")

		assert.Equal(t, manyEntries, d.Remembered(t.Context()), "one went, one came")
		assert.Nil(t, d.entries.saved)
		requireEntries(t, d, 0, 3, 4, manyEntries)
		_, ok = d.Lookup(numbered(1).Name)
		assert.False(t, ok)
	})
}

func TestTheTableIsWrittenAnewWhenMuchCameSince(t *testing.T) {
	base := afero.NewOsFs()
	path := withTable(t, base, t.TempDir())
	d := openDir(t, base, path)
	d.entries.compacting.Store(true) // which leaves one as well
	for i := range manyEntries {
		require.NoError(t, d.Record(numbered(manyEntries+i)))
	}
	requireEntries(t, openDir(t, base, path), 0, 2*manyEntries-1)

	other := openDir(t, base, path)
	requireEntries(t, other, 0, 2*manyEntries-1)
	assert.Zero(t, other.entries.index.n, "all is in the table")
}

// What others write anew has another table; until then it has none.
func TestATableOfAnotherJournalDoesNotCount(t *testing.T) {
	base := afero.NewOsFs()
	path := withTable(t, base, t.TempDir())
	d, other := openDir(t, base, path), openDir(t, base, path)
	requireEntries(t, other, 5)
	old, err := os.ReadFile(filepath.Join(path, tableFile))
	require.NoError(t, err)

	require.NoError(t, d.entries.compact(t.Context()))
	requireEntries(t, other, 5, 6)
	third := openDir(t, base, path)
	requireEntries(t, third, 5, 6)
	assert.Zero(t, third.entries.index.n, "who writes the journal anew leaves a table")

	require.NoError(t, os.WriteFile(filepath.Join(path, tableFile), old, 0o666))
	fourth := openDir(t, base, path)
	requireEntries(t, fourth, 5, 6)
	assert.NotZero(t, fourth.entries.index.n, "the table is of the journal before")
}

// A table is trusted for where to look, never for what is there.
func TestADamagedTableCostsTimeOnly(t *testing.T) {
	last := int64(pageSize) * (1 + (manyEntries+pageSlots-1)/pageSlots)
	for name, damage := range map[string]func(*testing.T, *os.File){
		"empty":          func(t *testing.T, f *os.File) { require.NoError(t, f.Truncate(0)) },
		"torn in a page": func(t *testing.T, f *os.File) { require.NoError(t, f.Truncate(last/2+7)) },
		"zeroed pages": func(t *testing.T, f *os.File) {
			_, err := f.WriteAt(make([]byte, last-pageSize), pageSize)
			require.NoError(t, err)
		},
		"a head that is flipped": func(t *testing.T, f *os.File) {
			_, err := f.WriteAt([]byte{0xff}, 30)
			require.NoError(t, err)
		},
		"every place is another's": func(t *testing.T, f *os.File) { forge(t, f, 1) },
		"no place is one":          func(t *testing.T, f *os.File) { forge(t, f, 1<<40) },
	} {
		t.Run(name, func(t *testing.T) {
			path := withTable(t, afero.NewOsFs(), t.TempDir())
			f, err := os.OpenFile(filepath.Join(path, tableFile), os.O_RDWR, 0)
			require.NoError(t, err)
			damage(t, f)
			require.NoError(t, f.Close())
			requireEntries(t, openDir(t, afero.NewOsFs(), path), 0, 1, manyEntries/2, manyEntries-1)
			assert.Len(t, namesOf(t, openDir(t, afero.NewOsFs(), path)), 0, "no file is there")
		})
	}
}

// forge rewrites a table so that each entry lies some bytes further on.
func forge(t *testing.T, f *os.File, by int64) {
	tab := &table{file: f}
	require.NoError(t, tab.readHead())
	x, err := tab.load()
	require.NoError(t, err)
	for i := range x.slots {
		if s := x.slots[i]; s.hash != 0 {
			e := s.indexed()
			e.at += by
			x.put(s.hash, e)
		}
	}
	require.NoError(t, writeTable(f, tab.mark, x))
}

func namesOf(t *testing.T, d *Dir) (names []string) {
	t.Helper()
	require.NoError(t, d.List(t.Context(), func(name string, _ int64, _ time.Time) error {
		names = append(names, name)
		return nil
	}))
	return names
}

func TestATableHoldsWhatTheIndexDoes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 2, pageSlots - 1, pageSlots, pageSlots + 1, 20_000} {
		x := newIndex(newSalt())
		for i := range n {
			x.put(notZero(rnd.Uint64()), indexed{at: 1<<32 + int64(i)*40, size: rnd.Int64N(mostIndexSize), used: time.Unix(int64(i), 0)})
		}
		x.see(x.slots[0].hash)
		mem := afero.NewMemMapFs()
		f, err := mem.Create(tableFile)
		require.NoError(t, err)
		require.NoError(t, writeTable(f, journal.Mark{At: goneAt - 1, Head: [8]byte{1, 2}}, x))
		require.NoError(t, f.Close())
		tab, err := openTable(mem, tableFile)
		require.NoError(t, err)
		assert.Equal(t, [8]byte{1, 2}, tab.mark.Head)
		all, err := tab.load()
		require.NoError(t, err)
		require.Equal(t, x.n, all.n)
		for _, s := range x.slots {
			if s.hash == 0 {
				continue
			}
			got, ok, err := tab.find(s.hash)
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, s.indexed(), got)
			got, _ = all.get(s.hash)
			require.Equal(t, s.indexed(), got)
			_, ok, err = tab.find(s.hash + 1)
			require.NoError(t, err)
			require.False(t, ok)
		}
		require.NoError(t, tab.close())
	}
}

// FuzzTable holds a damaged table against one that is whole: it says the same,
// or is found out.
func FuzzTable(f *testing.F) {
	x := newIndex(newSalt())
	for i := range 600 {
		x.put(x.hashOf(fmt.Sprint(i)), indexed{at: int64(i) * 40, size: int64(i), used: time.Unix(int64(i), 0)})
	}
	mem := afero.NewMemMapFs()
	file, err := mem.Create(tableFile)
	require.NoError(f, err)
	require.NoError(f, writeTable(file, journal.Mark{At: 600 * 40}, x))
	require.NoError(f, file.Close())
	whole, err := afero.ReadFile(mem, tableFile)
	require.NoError(f, err)
	f.Add(uint16(0), []byte("x"), uint16(len(whole)))
	f.Add(uint16(9000), []byte{0}, uint16(9001))
	f.Add(uint16(28), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, uint16(len(whole)))
	f.Fuzz(func(t *testing.T, at uint16, with []byte, size uint16) {
		b := append([]byte(nil), whole...)
		if int(at) < len(b) {
			copy(b[at:], with)
		}
		mem := afero.NewMemMapFs()
		require.NoError(t, afero.WriteFile(mem, tableFile, b[:min(int(size), len(b))], 0o666))
		tab, err := openTable(mem, tableFile)
		if err != nil {
			return
		}
		for i := 0; i < 700; i += 7 {
			h := x.hashOf(fmt.Sprint(i))
			if got, ok, err := tab.find(h); err == nil {
				want, there := x.get(h)
				require.Equal(t, there, ok)
				require.Equal(t, want, got)
			}
		}
		if all, err := tab.load(); err == nil {
			require.Equal(t, x.n, all.n)
		}
		require.NoError(t, tab.close())
	})
}
