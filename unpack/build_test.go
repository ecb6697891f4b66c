package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"os"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// item is an entry of an archive that a test makes.
type item struct {
	name, content, target string
	kind                  byte // a tar type; 0: a regular file, or a folder if name ends in a slash
	mode                  int64
	modTime               time.Time
}

func tarOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, it := range items {
		require.NoError(t, w.WriteHeader(it.tarHeader()), it.name)
		_, err := w.Write([]byte(it.content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func (it item) tarHeader() *tar.Header {
	h := &tar.Header{
		Name: it.name, Typeflag: it.kind, Linkname: it.target, Size: int64(len(it.content)),
		Mode: it.mode, ModTime: it.modTime,
	}
	switch {
	case it.kind == 0 && it.name != "" && it.name[len(it.name)-1] == '/':
		h.Typeflag = tar.TypeDir
	case it.kind == 0:
		h.Typeflag = tar.TypeReg
	}
	if h.Mode == 0 {
		h.Mode = 0o644
	}
	return h
}

func zipOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, it := range items {
		h := &zip.FileHeader{Name: it.name, Method: zip.Deflate, Modified: it.modTime}
		h.SetMode(it.zipMode())
		content := it.content
		if it.kind == tar.TypeSymlink {
			content = it.target
		}
		f, err := w.CreateHeader(h)
		require.NoError(t, err)
		_, err = f.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func (it item) zipMode() os.FileMode {
	h := it.tarHeader()
	mode := h.FileInfo().Mode()
	if it.kind == tar.TypeSymlink {
		return mode.Perm() | os.ModeSymlink
	}
	return mode
}

func gz(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func zst(t testing.TB, plain []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
	require.NoError(t, err)
	defer w.Close()
	return w.EncodeAll(plain, nil)
}

// xzOf stores the content in one block of an xz stream with a dictionary of the size
// that bits encode (The .xz File Format, 5.3.1), in chunks that are not compressed.
func xzOf(plain []byte, bits byte) []byte {
	header := append([]byte("\xfd7zXZ\x00"), 0, 1) // check: CRC32
	stream := binary.LittleEndian.AppendUint32(header, crc32.ChecksumIEEE(header[6:8]))

	block := []byte{2, 0, 0x21, 1, bits, 0, 0, 0} // size, flags, LZMA2, its property, padding
	block = binary.LittleEndian.AppendUint32(block, crc32.ChecksumIEEE(block))
	for rest, first := plain, true; len(rest) > 0; first = false {
		n := min(len(rest), 1<<16)
		control := byte(2)
		if first {
			control = 1 // resets the dictionary
		}
		block = append(block, control, byte((n-1)>>8), byte(n-1))
		block, rest = append(block, rest[:n]...), rest[n:]
	}
	block = append(block, 0)
	unpadded := len(block) + 4
	for len(block)%4 > 0 {
		block = append(block, 0)
	}
	block = binary.LittleEndian.AppendUint32(block, crc32.ChecksumIEEE(plain))

	index := []byte{0, 1}
	index = binary.AppendUvarint(index, uint64(unpadded))
	index = binary.AppendUvarint(index, uint64(len(plain)))
	for len(index)%4 > 0 {
		index = append(index, 0)
	}
	index = binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(index))

	backward := binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1))
	backward = append(backward, 0, 1)
	footer := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(backward))
	footer = append(append(footer, backward...), 'Y', 'Z')
	return bytes.Join([][]byte{stream, block, index, footer}, nil)
}

// bz2Tar is what bzip2(1) makes of a tar archive with the file "dir/hello" that
// holds "hello\n"; there is no encoder in the standard library.
func bz2Tar(t testing.TB) []byte { return decode(t, bz2TarText) }

// bz2Single is what bzip2(1) makes of "hello\n".
func bz2Single(t testing.TB) []byte { return decode(t, bz2SingleText) }

// xzTar is the same tar archive compressed by xz(1), with its usual settings.
func xzTar(t testing.TB) []byte { return decode(t, xzTarText) }

// sparseTars are what GNU tar makes of a file "hole" with a hole of 1 MiB and then "end".
func sparseTars(t testing.TB) map[string][]byte {
	return map[string][]byte{"pax": decode(t, sparsePAX), "gnu": decode(t, sparseGNU)}
}

func decode(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	return b
}

const (
	bz2TarText    = `QlpoOTFBWSZTWT1Mj5YAAHP7hMkQAERAAO+AAIBmZJ4AAACACCAAdQ1TNNRpk0abSGmT1BJTSaaBoaANBT7u970IIwASJ5WEZugSckgZXMPozmqEaMAQ8g2kWRhohE2b3G8hOlhVbejACCovja6mFWCSD8XckU4UJA9TI+WA`
	bz2SingleText = `QlpoOTFBWSZTWcHAgOIAAAFBAAAQAkSgADDNAMNGKZcXckU4UJDBwIDi`
	xzTarText     = `/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4Cf/AGtdADIaSqclivIZVmcKsuzSV2HJbXS5rjBix2VsBnzpP6rdeTshFW0yW/YOfCrLkTml7i2y7yXPjHdmZPw7Yvac17mQP0oQ1cQYDGrKtIBEdbYrVkeYnFXATX61YIp1vQnJuH/LSrZY8JJEoCcAAADm4v9Xi2rRDAABhwGAUAAAhkFlfLHEZ/sCAAAAAARZWg==`
	sparsePAX     = `H4sIAAAAAAACA+3UTWrDMBAFYK11Cp9AntGPHS+8bbMqhdIDiEZQF8cukgshp6/ithBcaDZpIOR9G8GMFrZGT6p89Lt18JsQU/k69kGcH2WVtfOaLVfSphZUG1s56+Y6Mzsrip24gI80+Zg/RdwmrYv7h2eV3n1MQW392xhblotqN+QqSW2Pq4PfhvZwY6Th43oMvk/dPrRMduXqRhoq/NTlzVw3TtdsGqt0lUetecWH7svvLn13BfwvVebRPc2Tu+v6oLhhy2d+CE7kn4nMIv+OrRMFXTL/cRynv/ad6i9/7lryL79iWkkjfwJLiN3NCMMGhwAAAAAAAAAAAAAAAAAAAHDlPgHwdgzDACgAAA==`
	sparseGNU     = `H4sIAAAAAAACA+3QQQrCMBCF4TlKjpA6k/QgnkAw0IUYaNP7G7IQsaUugoLwf5uB9wYGZsq3JF/mq2jWZvU+KxU/qsVgoeVDiHoSd5YfWJdymZ2TOedytPep7/qO7X3kmetL7nsO6LZM96sAAAAAAAAAAAAAAAAAAP7PA3uWCXMAKAAA`
)
