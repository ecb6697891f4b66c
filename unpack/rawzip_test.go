package unpack

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"
)

// rawEntry is an entry of a zip archive as its records have it, true or not.
type rawEntry struct {
	name                string
	flags, method       uint16
	crc                 uint32
	packed, size        uint64
	at                  int // of the local header
	data                []byte
	zip64               bool // sizes in an extra field
	creator             byte // system
	attributes          uint32
	packedSays, sizeSay uint64 // in the directory, instead of the truth; 0: the truth
	atSays              uint64 // the same, with zip64
}

func stored(name, content string) rawEntry {
	n := uint64(len(content))
	return rawEntry{name: name, crc: crc32.ChecksumIEEE([]byte(content)), packed: n, size: n, data: []byte(content)}
}

func deflated(t testing.TB, name, content string) rawEntry {
	t.Helper()
	e := stored(name, content)
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	require.NoError(t, err)
	_, err = w.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	e.method, e.data, e.packed = 8, b.Bytes(), uint64(b.Len())
	return e
}

// local is the local header (APPNOTE 4.3.7).
func (e rawEntry) local() []byte {
	b := []byte("PK\x03\x04\x14\x00")
	b = binary.LittleEndian.AppendUint16(b, e.flags)
	b = binary.LittleEndian.AppendUint16(b, e.method)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, e.crc)
	b = binary.LittleEndian.AppendUint32(b, uint32(e.packed))
	b = binary.LittleEndian.AppendUint32(b, uint32(e.size))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(e.name)))
	b = append(b, 0, 0)
	return append(b, e.name...)
}

// record is the entry of the directory (APPNOTE 4.3.12).
func (e rawEntry) record() []byte {
	packed, size, at := e.packed, e.size, uint64(e.at)
	if e.packedSays != 0 {
		packed = e.packedSays
	}
	if e.sizeSay != 0 {
		size = e.sizeSay
	}
	var extra []byte
	if e.zip64 {
		extra = binary.LittleEndian.AppendUint16(extra, 1)
		extra = binary.LittleEndian.AppendUint16(extra, 24)
		extra = binary.LittleEndian.AppendUint64(extra, size)
		extra = binary.LittleEndian.AppendUint64(extra, packed)
		extra = binary.LittleEndian.AppendUint64(extra, cmp.Or(e.atSays, at))
		packed, size, at = 1<<32-1, 1<<32-1, 1<<32-1
	}
	b := []byte{'P', 'K', 1, 2, 20, e.creator, 20, 0}
	b = binary.LittleEndian.AppendUint16(b, e.flags)
	b = binary.LittleEndian.AppendUint16(b, e.method)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, e.crc)
	b = binary.LittleEndian.AppendUint32(b, uint32(packed))
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(e.name)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(extra)))
	b = append(b, make([]byte, 6)...)
	b = binary.LittleEndian.AppendUint32(b, e.attributes)
	b = binary.LittleEndian.AppendUint32(b, uint32(at))
	return append(append(b, e.name...), extra...)
}

// rawZip is an archive of entries whose data lie one after the other.
func rawZip(entries ...rawEntry) []byte {
	var b []byte
	for i := range entries {
		entries[i].at = len(b)
		b = append(append(b, entries[i].local()...), entries[i].data...)
	}
	return withDirectory(b, entries...)
}

// withDirectory adds the directory and its end to the data (APPNOTE 4.3.16).
func withDirectory(data []byte, entries ...rawEntry) []byte {
	at := len(data)
	for _, e := range entries {
		data = append(data, e.record()...)
	}
	size := len(data) - at
	data = append(data, 'P', 'K', 5, 6, 0, 0, 0, 0)
	data = binary.LittleEndian.AppendUint16(data, uint16(len(entries)))
	data = binary.LittleEndian.AppendUint16(data, uint16(len(entries)))
	data = binary.LittleEndian.AppendUint32(data, uint32(size))
	data = binary.LittleEndian.AppendUint32(data, uint32(at))
	return append(data, 0, 0)
}
