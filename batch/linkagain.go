package batch

import (
	"bytes"
	"errors"
	"io"

	"github.com/spf13/afero"
)

// windowSize is how much of a list is read at once when its links have their turn:
// most come in the list's order, some hundred of them with one read.
const windowSize = 16 << 10

// window is a piece of a file, kept for who reads on.
type window struct {
	buf   []byte
	begin int64
}

// line returns the line that begins at the offset, without its line feed. It is
// whole unless it is longer than windowSize. It stands until the next call.
func (w *window) line(file afero.File, offset int64) (text []byte, whole bool, err error) {
	if at := offset - w.begin; at >= 0 && at < int64(len(w.buf)) {
		if text, _, ended := bytes.Cut(w.buf[at:], []byte("\n")); ended {
			return text, true, nil
		}
	}
	if w.buf == nil {
		w.buf = make([]byte, windowSize)
	}
	n, err := file.ReadAt(w.buf[:windowSize], offset)
	w.buf, w.begin = w.buf[:n], offset
	if err != nil && !errors.Is(err, io.EOF) {
		w.buf = w.buf[:0]
		return nil, false, err
	}
	text, _, ended := bytes.Cut(w.buf, []byte("\n"))
	return text, ended || n < windowSize, nil
}

// textAt reads the line again that began at an offset of the file. It stands until
// the next call.
func (l *LinkList) textAt(offset int64) ([]byte, error) {
	text, whole, err := l.seen.line(l.file, offset)
	if err != nil {
		return nil, err
	}
	if !whole {
		r := newLineReader(io.NewSectionReader(l.file, offset, maxLine))
		r.offset = offset
		line, err := r.next()
		if err != nil {
			return nil, err
		}
		text = line.text
	}
	if text = trimEnd(text); offset == 0 {
		text = bytes.TrimPrefix(text, byteOrder)
	}
	return text, nil
}

// linkIn returns the link in a line that was read again.
func (l *LinkList) linkIn(text []byte, number int) (Link, error) {
	link, ok, err := parseLine(string(text))
	if err == nil && !ok {
		err = errors.New("the line has no link any more")
	}
	link.Line = number
	if err != nil {
		err = &LineError{l.name, number, err}
	}
	return link, err
}
