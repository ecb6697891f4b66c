package batch

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"unicode/utf8"
)

const (
	// maxLine is how long a line may be, in bytes: a URL of the 8 KiB that servers
	// take, and some mirrors.
	maxLine = 64 << 10
	// maxSkipped is how much of a longer line is passed over before the text is
	// taken for something else than a list.
	maxSkipped = 1 << 20
	// manyBad is how many lines may be bad with none before them that is good: who
	// gives the wrong file learns it early.
	manyBad = 20
)

var (
	errLongLine = fmt.Errorf("the line is longer than %d KiB", maxLine>>10)
	byteOrder   = []byte("\xef\xbb\xbf")
)

// lineReader reads lines and knows where it is.
type lineReader struct {
	in     *bufio.Reader
	offset int64     // bytes read
	number int       // lines read
	whole  int64     // bytes of the lines that have an end
	ended  int       // lines that have an end
	sum    hash.Hash // of them
}

// line is one line of a list.
type line struct {
	text   []byte // without its end; valid until the next one is read
	offset int64  // where it begins
	number int
	open   bool // it has no end: somebody may be writing it
	long   bool // text is not all of it
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(r, maxLine), sum: sha256.New()}
}

// next returns the next line, and io.EOF when there is none.
func (r *lineReader) next() (line, error) {
	l := line{offset: r.offset, number: r.number + 1}
	text, err := r.in.ReadSlice('\n')
	if len(text) == 0 && err != nil {
		return l, err
	}
	l.text, l.long = text, errors.Is(err, bufio.ErrBufferFull)
	if !l.long && err != nil && !errors.Is(err, io.EOF) {
		return l, err
	}
	r.number++
	r.offset += int64(len(text))
	l.open = errors.Is(err, io.EOF)
	if l.long {
		err := r.skip(&l)
		if l.offset == 0 {
			l.text = bytes.TrimPrefix(l.text, byteOrder)
		}
		return l, err
	}
	if !l.open {
		r.sum.Write(text)
		r.whole, r.ended = r.offset, r.number
	}
	l.text = trimEnd(l.text)
	if l.offset == 0 {
		l.text = bytes.TrimPrefix(l.text, byteOrder)
	}
	return l, nil
}

// trimEnd cuts off the ends of lines.
func trimEnd(text []byte) []byte {
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
		text = text[:len(text)-1]
	}
	return text
}

// skip passes over the rest of a line that is too long.
func (r *lineReader) skip(l *line) error {
	r.sum.Write(l.text)
	l.text = beginning(l.text)
	for r.offset-l.offset <= maxSkipped {
		text, err := r.in.ReadSlice('\n')
		r.offset += int64(len(text))
		r.sum.Write(text)
		switch {
		case err == nil:
			r.whole, r.ended = r.offset, r.number
			return nil
		case errors.Is(err, io.EOF):
			l.open = true
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
	return fmt.Errorf("%w: the line does not end within %d KiB", ErrNotList, maxSkipped>>10)
}

// beginning returns enough of a text to see whether it is one, without half a
// character at its end.
func beginning(text []byte) []byte {
	text = bytes.Clone(text[:64])
	for n := len(text); n > len(text)-utf8.UTFMax; n-- {
		if utf8.Valid(text[:n]) {
			return text[:n]
		}
	}
	return text
}

// goOn makes the reader, whose input has been read up to there, go on at a line.
func (r *lineReader) goOn(offset int64, lines int, sum hash.Hash) {
	r.offset, r.number, r.whole, r.ended, r.sum = offset, lines, offset, lines, sum
}

// stream is a reader that may make its readers wait.
type stream struct {
	io.Reader
	before func() error // is called before each read, unless it is nil
}

func (s *stream) Read(b []byte) (int, error) {
	if s.before != nil {
		if err := s.before(); err != nil {
			return 0, err
		}
	}
	return s.Reader.Read(b)
}

// beforeRead sets what is done before more is read of a list that is a stream. With
// an error, nothing is.
func (l *LinkList) beforeRead(fn func() error) {
	if l.in != nil {
		l.in.before = fn
	}
}
