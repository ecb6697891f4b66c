package fs

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
	got, ok := decodeEntry(want.encode())
	require.True(t, ok)
	assert.Equal(t, want, utc(got))
	for n := range want.encode() { // a shorter record is partly known, or none; never a panic
		if e, ok := decodeEntry(want.encode()[:n]); ok {
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
		for i := range compactFrom {
			e.CRC32C = uint32(i)
			require.NoError(t, d.Record(e))
		}
		require.NoError(t, d.Record(e))
		before, err := d.fsys.Stat(entryFile)
		require.NoError(t, err)

		other := openDir(t, base, path)
		got, ok := other.Entry("file", info)
		require.True(t, ok)
		assert.EqualValues(t, compactFrom-1, got.CRC32C)
		after, err := other.fsys.Stat(entryFile)
		require.NoError(t, err)
		assert.Less(t, after.Size()*100, before.Size())

		e.Name = "next" // who has the old journal open appends to the new one
		require.NoError(t, d.Record(e))
		_, ok = openDir(t, base, path).Entry("next", info)
		assert.True(t, ok)
		requireNoPartials(t, d)
	})
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(sampleEntry("name").encode())
	f.Add(encodeRemoved("name"))
	f.Add([]byte{landed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, ok := decodeEntry(b); ok {
			again, ok := decodeEntry(e.encode())
			if !ok || fmt.Sprint(again) != fmt.Sprint(e) {
				t.Fatalf("%v does not survive: %v", e, again)
			}
		}
		decodeRemoved(b)
	})
}
