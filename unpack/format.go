package unpack

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
)

// maxWindow is how far back a decoder may have to look, in bytes, and so its memory:
// what zstd(1) accepts unless told otherwise, and twice what xz -9 needs. (gzip needs
// 32 KiB, bzip2 4 MiB.)
const maxWindow = 128 << 20

type format int

const (
	unknown format = iota
	tarred
	zipped
	gzipped
	zstded
	xzed
	bzipped
)

func (f format) String() string {
	return [...]string{"archive", "tar", "zip", "gz", "zst", "xz", "bz2"}[f]
}

// suffixes are those of single compressed files.
var suffixes = map[format][]string{
	gzipped: {".gz"}, zstded: {".zst", ".zstd"}, xzed: {".xz"}, bzipped: {".bz2"},
}

// headBytes is what sniff looks at: a tar header has its checksum.
const headBytes = 512

// sniff says by its beginning what a file is.
func sniff(head []byte) format {
	starts := func(magic string) bool { return strings.HasPrefix(string(head), magic) }
	switch {
	case starts("PK\x03\x04"), starts("PK\x05\x06"): // APPNOTE 4.3.7; 4.3.16: no entries
		return zipped
	case starts("\x1f\x8b\x08"): // RFC 1952, 2.3.1
		return gzipped
	case starts("\x28\xb5\x2f\xfd"): // RFC 8878, 3.1.1
		return zstded
	case len(head) > 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18": // RFC 8878, 3.1.2
		return zstded
	case starts("\xfd7zXZ\x00"): // The .xz File Format, 2.1.1.1
		return xzed
	case starts("BZh") && len(head) >= 10 && (string(head[4:10]) == "1AY&SY" || string(head[4:10]) == "\x17rE8P\x90"):
		return bzipped
	case isTar(head):
		return tarred
	}
	return unknown
}

// guess names what else a file may be, to help the person who asked for an archive.
func guess(head []byte) string {
	text := bytes.ToLower(bytes.TrimLeft(head, " \t\r\n\ufeff"))
	switch {
	case len(head) == 0:
		return " (it is empty)"
	case bytes.HasPrefix(text, []byte("<!doctype html")), bytes.HasPrefix(text, []byte("<html")):
		return " (it is a web page: does the URL need credentials?)"
	case bytes.HasPrefix(head, []byte("7z\xbc\xaf\x27\x1c")):
		return " (it is 7-Zip's)"
	case bytes.HasPrefix(head, []byte("Rar!")):
		return " (it is RAR's)"
	case isProgram(head):
		return " (it is a program)"
	}
	return ""
}

// isTar reports whether a block is the header of an entry: its checksum is the sum of
// its bytes, with spaces in place of itself. Old programs added up signed bytes.
func isTar(block []byte) bool {
	const from, to = 148, 156 // ustar: chksum
	if len(block) < headBytes {
		return false
	}
	field := strings.Trim(string(block[from:to]), " \x00")
	sum, err := strconv.ParseInt(field, 8, 64)
	if err != nil {
		return false
	}
	unsigned, signed := int64(0), int64(0)
	for i, c := range block[:headBytes] {
		if from <= i && i < to {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	return sum == unsigned || sum == signed
}

// isProgram reports whether a file is executable by its content.
func isProgram(head []byte) bool {
	for _, magic := range []string{
		"#!", "\x7fELF",
		"\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe", // Mach-O
	} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return false
}

// decompress returns what a compressed stream holds, and the name of the file if its
// header says one. All members of the stream count, and nothing but members may be in
// it. The reader has to be closed.
func decompress(f format, r *bufio.Reader) (plain io.ReadCloser, name string, err error) {
	switch f {
	case gzipped:
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, "", err
		}
		return z, z.Name, nil
	case zstded:
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(2))
		if err != nil {
			return nil, "", err
		}
		return z.IOReadCloser(), "", nil
	case xzed:
		z, err := xz.NewReader(r, maxWindow)
		return io.NopCloser(z), "", err
	case bzipped:
		return io.NopCloser(bzip2.NewReader(r)), "", nil
	}
	return nil, "", fmt.Errorf("%w: %v", errors.ErrUnsupported, f)
}

// isWindow reports whether a decoder would have needed too much memory.
func isWindow(err error) bool {
	return errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, xz.ErrMemlimit)
}
