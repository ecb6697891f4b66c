package fs

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/journal"
)

func sampleEntry(name string) Entry {
	return Entry{
		Name: name, Identity: [16]byte{1, 2, 3}, URL: "https://example.com/a?b=xxxxx", Size: 5,
		ModTime: time.Unix(1700000000, 123).UTC(), Fetched: time.Unix(1700000001, 0).UTC(),
		CRC32C: 0xdeadbeef, ETag: `"etag"`, LastModified: "Tue, 14 Nov 2023 22:13:20 GMT",
		Validated: time.Unix(1700000002, 5).UTC(), Unsynced: "a boot", From: [16]byte{4, 5, 6},
	}
}

func utc(e Entry) Entry {
	e.ModTime, e.Fetched, e.Validated = e.ModTime.UTC(), e.Fetched.UTC(), e.Validated.UTC()
	return e
}

func TestEntryRoundTrip(t *testing.T) {
	want := sampleEntry("sub/name")
	got, ok := decodeEntry(want.encode(nil))
	require.True(t, ok)
	assert.Equal(t, want, utc(got))
	for n := range want.encode(nil) { // a shorter record is partly known, or none; never a panic
		if e, ok := decodeEntry(want.encode(nil)[:n]); ok {
			assert.Equal(t, want.Name, e.Name)
			assert.Equal(t, want.Identity, e.Identity)
		}
	}
}

func TestEntriesAreRememberedAcrossOpens(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		d := openDir(t, base, path)
		land(t, d, "file", "12345")
		info, err := d.Stat("file")
		require.NoError(t, err)
		e := sampleEntry("file")
		e.ModTime = info.ModTime
		require.NoError(t, d.Record(e))

		other := openDir(t, base, path)
		got, ok := other.Entry("file", info)
		require.True(t, ok)
		assert.Equal(t, e.Identity, got.Identity)

		land(t, d, "late", "12345") // appended after the other one has read
		info, err = d.Stat("late")
		require.NoError(t, err)
		e.Name, e.ModTime = "late", info.ModTime
		require.NoError(t, d.Record(e))
		_, ok = other.Entry("late", info)
		require.True(t, ok)

		changed := info
		changed.Size++
		_, ok = other.Entry("late", changed)
		assert.False(t, ok, "the entry of another file of that name does not count")

		require.NoError(t, d.Remove("late"))
		third := openDir(t, base, path)
		_, ok = third.Entry("late", info)
		assert.False(t, ok, "a removed file has no entry")
	})
}

func TestDamagedJournalCostsEntriesOnly(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "file", "12345")
	info, err := d.Stat("file")
	require.NoError(t, err)
	e := sampleEntry("file")
	e.ModTime = info.ModTime
	require.NoError(t, d.Record(e))
	for _, damage := range []string{"", "garbage", "\xd1\x4a\xff\xff\x00\x00\x00\x00"} {
		require.NoError(t, os.WriteFile(d.Path(entryFile), []byte(damage), 0o666))
		again := openDir(t, afero.NewOsFs(), d.Root())
		_, ok := again.Entry("file", info)
		assert.False(t, ok)
		require.NoError(t, again.Record(e), "and is written on")
		_, ok = openDir(t, afero.NewOsFs(), d.Root()).Entry("file", info)
		assert.True(t, ok)
	}
}

func TestJournalIsWrittenAnewWhenMostOfItIsOutOfDate(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		d := openDir(t, base, path)
		land(t, d, "file", "12345")
		info, err := d.Stat("file")
		require.NoError(t, err)
		e := sampleEntry("file")
		e.ModTime = info.ModTime
		var before int64
		for i := range 4 << 20 / len(e.encode(nil)) {
			e.CRC32C = uint32(i)
			require.NoError(t, d.Record(e))
			fi, err := d.fsys.Stat(entryFile)
			require.NoError(t, err)
			before = max(before, fi.Size())
		}
		other := openDir(t, base, path)
		require.NoError(t, other.Tidy(t.Context(), time.Now(), func(Leftover) {})) // if it is still due
		got, ok := other.Entry("file", info)
		require.True(t, ok)
		assert.Equal(t, e.CRC32C, got.CRC32C)
		after, err := other.fsys.Stat(entryFile)
		require.NoError(t, err)
		assert.Less(t, after.Size()*2, before)

		e.Name = "next" // who has the old journal open appends to the new one
		require.NoError(t, d.Record(e))
		require.NoError(t, other.Record(e))
		_, ok = openDir(t, base, path).Entry("next", info)
		assert.True(t, ok)
		requireNoPartials(t, d)
	})
}

func TestAJournalOfTheFirstVersionIsReadAndWrittenAnew(t *testing.T) {
	old := func(name string, n int64) []byte { // its entries ended with the digests
		e := sampleEntry(name)
		e.Size = n
		b := e.encode(nil)
		tail := 16 + 1 + len(binary.AppendVarint(nil, e.Validated.UnixNano())) + len(appendText(nil, e.Unsynced)) + 16
		return b[:len(b)-tail]
	}
	var file []byte
	add := func(payload []byte) {
		var err error
		file, err = journal.AppendRecord(file, payload)
		require.NoError(t, err)
	}
	for i := range 40_000 {
		add(old("file", int64(i)))
	}
	add(old("gone", 1))
	add(encodeRemoved("gone"))
	add([]byte{200, 1, 2, 3}) // a kind that is not known
	whole := len(file)
	add(old("torn", 1))
	file = file[:whole+20]

	d := openDir(t, afero.NewOsFs(), t.TempDir())
	require.NoError(t, os.WriteFile(d.Path(entryFile), file, 0o666))
	require.NoError(t, d.Tidy(t.Context(), time.Now(), ignore))
	for range 2 {
		e, ok := d.Lookup("file")
		require.True(t, ok)
		assert.EqualValues(t, 39_999, e.Size)
		assert.Equal(t, sampleEntry("").ETag, e.ETag)
		for _, name := range []string{"gone", "torn", "", "other"} {
			_, ok = d.Lookup(name)
			assert.False(t, ok, name)
		}
		d = openDir(t, afero.NewOsFs(), d.Root())
	}
	fi, err := os.Stat(d.Path(entryFile))
	require.NoError(t, err)
	assert.Less(t, fi.Size(), int64(1000))
}

func TestAJournalThatIsDamagedWhileItIsReadCostsEntriesOnly(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	require.NoError(t, d.Record(sampleEntry("one")))
	require.NoError(t, d.Record(sampleEntry("two")))
	_, ok := d.Lookup("two")
	require.True(t, ok)
	whole, err := os.ReadFile(d.Path(entryFile))
	require.NoError(t, err)
	zeros := make([]byte, len(whole)/2)
	f, err := os.OpenFile(d.Path(entryFile), os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(zeros, int64(len(whole)-len(zeros))) // as a power loss does
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, ok = d.Lookup("two")
	assert.False(t, ok)
	_, ok = d.Lookup("one")
	assert.True(t, ok, "what is whole is found again")
	require.NoError(t, d.Record(sampleEntry("three")))
	_, ok = d.Lookup("three")
	assert.True(t, ok)
}

func FuzzLookup(f *testing.F) {
	whole, _ := journal.AppendRecord(nil, sampleEntry("name").encode(nil))
	gone, _ := journal.AppendRecord(nil, encodeRemoved("name"))
	f.Add(whole, 0)
	f.Add(append(whole[:len(whole):len(whole)], gone...), 3)
	f.Fuzz(func(t *testing.T, file []byte, cut int) {
		fsys := afero.NewMemMapFs()
		if err := afero.WriteFile(fsys, entryFile, file, 0o666); err != nil {
			t.Fatal(err)
		}
		e := newEntries(fsys)
		e.lookup("name")
		if cut > 0 && cut < len(file) { // what was read is not what is there any more
			if err := afero.WriteFile(fsys, entryFile, append(file[cut:len(file):len(file)], file[:cut]...), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if found, ok := e.lookup("name"); ok && found.Name != "name" {
			t.Fatalf("%q was found", found.Name)
		}
		if err := e.append(sampleEntry("name").encode(nil)); err != nil {
			t.Fatal(err)
		}
		if err := e.compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, ok := e.lookup("name"); !ok {
			t.Fatal("what was appended last is lost")
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(sampleEntry("name").encode(nil))
	f.Add(encodeRemoved("name"))
	f.Add([]byte{landed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, ok := decodeEntry(b); ok {
			again, ok := decodeEntry(e.encode(nil))
			if !ok || fmt.Sprint(again) != fmt.Sprint(e) {
				t.Fatalf("%v does not survive: %v", e, again)
			}
		}
		decodeRemoved(b)
	})
}
