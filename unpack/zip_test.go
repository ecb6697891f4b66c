package unpack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestZipEntriesThatAreRefused(t *testing.T) {
	const unix = 3
	with := func(e rawEntry, change func(*rawEntry)) rawEntry { change(&e); return e }
	for name, e := range map[string]rawEntry{
		"encrypted":        with(stored("bad", "x"), func(e *rawEntry) { e.flags = 1 }),
		"strong":           with(stored("bad", "x"), func(e *rawEntry) { e.flags = 1 << 6 }),
		"masked directory": with(stored("bad", "x"), func(e *rawEntry) { e.flags = 1 << 13 }),
		"method":           with(stored("bad", "x"), func(e *rawEntry) { e.method = 14 }),
		"full folder":      stored("bad/", "x"),
		"NUL":              stored("bad\x00.png", "x"),
		"not UTF-8":        stored("bad\xff", "x"),
		"device":           with(stored("bad", ""), func(e *rawEntry) { e.creator, e.attributes = unix, 0o020644<<16 }),
		"pipe":             with(stored("bad", ""), func(e *rawEntry) { e.creator, e.attributes = unix, 0o010644<<16 }),
		"socket":           with(stored("bad", ""), func(e *rawEntry) { e.creator, e.attributes = unix, 0o140644<<16 }),
		"set-user-ID":      with(stored("bad", ""), func(e *rawEntry) { e.creator, e.attributes = unix, 0o104755<<16 }),
		"long link":        with(stored("bad", string(make([]byte, maxTarget+1))), func(e *rawEntry) { e.creator, e.attributes = unix, 0o120777<<16 }),
	} {
		t.Run(name, func(t *testing.T) {
			err := newPlace(t).unpack(t, Options{}, "a.zip", rawZip(stored("good", "x"), e))
			require.ErrorIs(t, err, ErrRefused)
			require.ErrorContains(t, err, quoted(e.name))
		})
	}
}

// bombs are zip archives whose entries share bytes, as David Fifield's do.
func bombs(t testing.TB) map[string][]byte {
	t.Helper()
	kernel := deflated(t, "kernel", string(make([]byte, 1<<20)))

	// One local header, many entries of the directory.
	one := append(kernel.local(), kernel.data...)
	same := []rawEntry{kernel}
	for i := range 50 {
		e := kernel
		e.name = fmt.Sprintf("full%02d", i) // as long as that in the local header
		same = append(same, e)
	}

	// Each entry quotes the local header of the next in a block that is not compressed, and
	// goes on with the next one's data.
	type part struct{ local, data []byte }
	parts := []part{{kernel.local(), kernel.data}}
	quoting := []rawEntry{kernel}
	content := make([]byte, 1<<20)
	for i := range 20 {
		next := quoting[0]
		quoted := next.local()
		n := uint16(len(quoted))
		e := next
		e.name = fmt.Sprintf("quote%02d", i)
		prefix := binary.LittleEndian.AppendUint16([]byte{0}, n)
		prefix = append(binary.LittleEndian.AppendUint16(prefix, ^n), quoted...)
		content = append(bytes.Clone(quoted), content...)
		e.crc, e.size, e.packed = crc32.ChecksumIEEE(content), uint64(len(content)), next.packed+uint64(len(prefix))
		quoting = append([]rawEntry{e}, quoting...)
		parts = append([]part{{e.local(), prefix[:5]}}, parts...)
	}
	var data []byte
	for i, p := range parts {
		quoting[i].at = len(data)
		data = append(append(data, p.local...), p.data...)
	}
	return map[string][]byte{
		"one header": withDirectory(one, same...),
		"quotes":     withDirectory(data, quoting...),
		"one entry twice": func() []byte {
			twice := stored("a", "x")
			other := twice
			other.name = "b"
			return withDirectory(append(twice.local(), twice.data...), twice, other)
		}(),
	}
}

func TestZipEntriesThatShareBytesAreRefused(t *testing.T) {
	for name, bomb := range bombs(t) {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			err := p.unpack(t, Options{}, "bomb.zip", bomb)
			require.ErrorIs(t, err, ErrRefused)
			require.ErrorContains(t, err, "shares bytes")
			require.Empty(t, p.tree(t), "nothing is written before it is known")
		})
	}
}

func TestZipSizesThatAreWrong(t *testing.T) {
	with := func(change func(*rawEntry)) []byte {
		e := deflated(t, "bad", "hello, hello, hello")
		change(&e)
		return rawZip(stored("good", "x"), e)
	}
	for name, archive := range map[string][]byte{
		"more than said":    with(func(e *rawEntry) { e.sizeSay = 5 }),
		"less than said":    with(func(e *rawEntry) { e.sizeSay = 50 }),
		"packed, less":      with(func(e *rawEntry) { e.packedSays = 3 }),
		"beyond the end":    with(func(e *rawEntry) { e.packedSays = 1 << 30 }),
		"far beyond":        with(func(e *rawEntry) { e.zip64, e.packedSays = true, 1<<63+5 }),
		"before the begin":  with(func(e *rawEntry) { e.zip64, e.atSays = true, 1<<63+5 }),
		"checksum":          with(func(e *rawEntry) { e.crc++ }),
		"header beyond end": withDirectory(nil, rawEntry{name: "bad", at: 1 << 20}),
	} {
		t.Run(name, func(t *testing.T) {
			err := newPlace(t).unpack(t, Options{}, "a.zip", append([]byte(nil), archive...))
			if name == "header beyond end" {
				require.ErrorIs(t, err, ErrFormat, "it does not even begin as a zip archive")
				return
			}
			require.ErrorIs(t, err, ErrDamaged)
			require.ErrorContains(t, err, "bad")
		})
	}
}

func TestZip64(t *testing.T) {
	e := stored("a", "hello")
	e.zip64 = true
	p := newPlace(t)
	require.NoError(t, p.unpack(t, Options{}, "a.zip", rawZip(e)))
	require.Equal(t, map[string]string{"a": "hello"}, p.tree(t))

	e.sizeSay = 1<<63 + 1
	require.ErrorIs(t, newPlace(t).unpack(t, Options{}, "a.zip", rawZip(e)), ErrLimit)
}

func TestAnEmptyZipIsAnEmptyFolder(t *testing.T) {
	p := newPlace(t)
	require.NoError(t, p.unpack(t, Options{}, "a.zip", rawZip()))
	require.Empty(t, p.tree(t))
}

// Where the archive has no modes, programs are known by their content.
func TestZipMadeOnWindows(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no modes")
	}
	p := newPlace(t)
	require.NoError(t, p.unpack(t, Options{}, "a.zip", rawZip(stored("tool", "#!/bin/sh\n"), stored("text", "x"))))
	for name, executable := range map[string]bool{"tool": true, "text": false} {
		info, err := os.Stat(filepath.Join(p.inside, name))
		require.NoError(t, err)
		require.Equal(t, executable, info.Mode()&0o100 != 0, name)
		require.False(t, info.ModTime().Year() < 2000, "a zip archive without a time has none")
	}
}
