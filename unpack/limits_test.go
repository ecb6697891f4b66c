package unpack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLimits(t *testing.T) {
	ten := strings.Repeat("x", 10)
	items := []item{{name: "a/b/one", content: ten}, {name: "a/b/two", content: ten}, {name: "a/three", content: ten}}
	for _, c := range []struct {
		o       Options
		limit   string // "": it fits
		atEntry string
	}{
		{Options{}, "", ""},
		{Options{MaxEntries: -1, MaxBytes: -1, MaxRatio: -1}, "", ""},
		{Options{MaxEntries: 5}, "", ""}, // three files and two folders
		{Options{MaxEntries: 4}, "MaxEntries", "a/three"},
		{Options{MaxEntries: 3}, "MaxEntries", "a/b/two"},
		{Options{MaxBytes: 30}, "", ""},
		{Options{MaxBytes: 29}, "MaxBytes", "a/three"},
		{Options{MaxBytes: 9}, "MaxBytes", "a/b/one"},
		{Options{MaxEntryBytes: 10}, "", ""},
		{Options{MaxEntryBytes: 9}, "MaxEntryBytes", "a/b/one"},
		{Options{MaxBytes: 29, Strip: 2}, "MaxBytes", "a/three"}, // what is passed over takes time as well
	} {
		plain := tarOf(t, items...)
		for format, archive := range map[string][]byte{"tar": plain, "tar.gz": gz(t, plain), "zip": zipOf(t, items...)} {
			t.Run(fmt.Sprintf("%+v %s", c.o, format), func(t *testing.T) {
				err := newPlace(t).unpack(t, c.o, "a", archive)
				if c.limit == "" {
					require.NoError(t, err)
					return
				}
				requireLimit(t, err, c.limit, c.atEntry)
			})
		}
	}
}

func requireLimit(t testing.TB, err error, limit, entry string) {
	t.Helper()
	require.ErrorIs(t, err, ErrLimit)
	var over *LimitError
	require.ErrorAs(t, err, &over)
	require.Equal(t, limit, over.Limit)
	require.Equal(t, entry, over.Entry)
	require.Contains(t, err.Error(), limit)
	require.Contains(t, err.Error(), strings.Trim(quoted(entry), `"`))
}

func TestSingleFilesAreLimitedAsTheyCome(t *testing.T) {
	archive := gz(t, make([]byte, 3*bufferBytes))
	requireLimit(t, newPlace(t).unpack(t, Options{MaxBytes: 2 * bufferBytes}, "a.gz", archive), "MaxBytes", "a")
	requireLimit(t, newPlace(t).unpack(t, Options{MaxEntryBytes: 3*bufferBytes - 1}, "a.gz", archive), "MaxEntryBytes", "a")
	require.NoError(t, newPlace(t).unpack(t, Options{MaxBytes: 3 * bufferBytes}, "a.gz", archive))
}

func TestTheRatioCountsFromWhereItMatters(t *testing.T) {
	for _, c := range []struct{ ratio, archive, most int64 }{
		{0, 100, harmless},
		{0, harmless, 100 * harmless},
		{3, harmless, 3 * harmless},
		{-1, 100, none},
		{0, none / 2, none},
	} {
		l := newLimits(Options{MaxRatio: int(c.ratio), MaxBytes: -1}, c.archive)
		require.NoError(t, l.addBytes("a", c.most, c.most), c)
		if c.most < none {
			requireLimit(t, l.addBytes("b", 1, 1), "MaxRatio", "b")
		}
	}
}

// A tar header may announce what it likes: nothing is written before it fits.
func TestABombIsRefusedByWhatItAnnounces(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Size: 1 << 40}))
	p := newPlace(t)
	requireLimit(t, p.unpack(t, Options{}, "a.tar.gz", gz(t, b.Bytes())), "MaxBytes", "zeros")
	requireLimit(t, p.unpack(t, Options{MaxBytes: -1}, "a.tar.gz", gz(t, b.Bytes())), "MaxRatio", "zeros")
	require.Empty(t, p.tree(t))
}

// Headers that go before one entry are no entries, and go on for as long as they like.
func TestHeadersWithoutEnd(t *testing.T) {
	comment := "comment=" + strings.Repeat("x", 900_000) + "\n"
	record := fmt.Sprintf("%d %s", len(comment)+7, comment)
	require.Len(t, record, len(comment)+7)
	header := func(size int) []byte { // archive/tar makes no such headers alone
		h := tarOf(t, item{name: "pax", content: strings.Repeat("x", size)})
		sum := 0
		h[156] = 'x'
		copy(h[148:], "        ")
		for _, c := range h[:512] {
			sum += int(c)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
		return h[:512]
	}(len(record))
	padded := append(append(header, record...), make([]byte, 512-len(record)%512)...)

	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	require.NoError(t, err)
	for range 6 {
		_, err = w.Write(padded)
		require.NoError(t, err)
	}
	_, err = w.Write(tarOf(t, item{name: "x"}))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	requireLimit(t, newPlace(t).unpack(t, Options{MaxBytes: 1 << 20}, "a.tar.gz", b.Bytes()), "MaxBytes", "")
	require.NoError(t, newPlace(t).unpack(t, Options{}, "a.tar.gz", b.Bytes()))
}

// Names are kept in memory, however small the rest is: one of a megabyte may be "a".
func TestNamesAreLimited(t *testing.T) {
	long := strings.Repeat("./", 100_000)
	var items []item
	for i := range 6 {
		items = append(items, item{name: fmt.Sprintf("%s%d", long, i)})
	}
	archive := gz(t, tarOf(t, items...))
	require.NoError(t, newPlace(t).unpack(t, Options{}, "a", archive))
	err := newPlace(t).unpack(t, Options{MaxEntries: 10}, "a", archive)
	requireLimit(t, err, "MaxEntries", items[5].name)

	l := newLimits(Options{MaxEntries: 2000}, 0) // 1 MiB and 500 KiB
	for range 1000 {
		require.NoError(t, l.addEntry("l", strings.Repeat("x", 1499)))
	}
	requireLimit(t, l.addEntry("last", strings.Repeat("x", 70_000)), "MaxEntries", "last")
}

// 28 bytes can ask for 4 GiB of memory.
func TestDecodersHaveBoundedMemory(t *testing.T) {
	const oneGiB = 36 // The .xz File Format, 5.3.1
	whole := xzOf([]byte("x"), 18)
	greedy := xzOf([]byte("x"), oneGiB)
	for name, archive := range map[string][]byte{
		"xz":                greedy,
		"xz, second stream": append(bytes.Clone(whole), greedy...),
		"zstd":              []byte("\x28\xb5\x2f\xfd\x00\xa0\x01\x00\x00"), // RFC 8878, 3.1.1.1.2: a window of 1 GiB
	} {
		t.Run(name, func(t *testing.T) {
			err := newPlace(t).unpack(t, Options{}, "a", archive)
			require.ErrorIs(t, err, ErrLimit)
			require.ErrorContains(t, err, "128 MiB")
		})
	}
}

func TestADirectoryTooLargeForItsEntries(t *testing.T) {
	require.NoError(t, newPlace(t).unpack(t, Options{MaxEntries: 1}, "a.zip", zipOf(t, item{name: "a"})))
	var entries []rawEntry
	for i := range 40 {
		e := stored(fmt.Sprintf("%02d", i)+strings.Repeat("x", 40_000), "")
		entries = append(entries, e)
	}
	requireLimit(t, newPlace(t).unpack(t, Options{MaxEntries: 1}, "a.zip", rawZip(entries...)), "MaxEntries", "")
	requireLimit(t, newPlace(t).unpack(t, Options{MaxEntries: 30}, "a.zip", rawZip(entries...)), "MaxEntries", "")
}
