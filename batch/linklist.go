package batch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/afero"
)

// LinkList is a text with a link on each line:
//
//	# a comment
//	https://example.com/a.tgz
//	https://example.com/b.tgz tools/b.tgz
//	https://example.com/c.tgz - sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	{"url": "https://example.com/d.tgz", "name": "my d.tgz", "checksum": "…", "mirrors": ["https://example.org/d.tgz"]}
//
// Blank lines and lines that begin with # are passed over, as are a byte order
// mark and carriage returns. A line may have 64 KiB. A bad line is a *LineError;
// text that is no list, such as a binary file, is ErrNotList at once.
type LinkList struct {
	track
	name string
	file afero.File // nil: there is only a reader
	r    *lineReader
	good bool  // a link was seen
	bad  int   // lines, as long as none was good
	over error // why nothing more is read
	last place
	seen window
	in   *stream // nil: it is a file
}

var _ Source[Link] = (*LinkList)(nil)

// place is where a line begins.
type place struct {
	Offset int64  `json:"offset"`
	Line   int    `json:"line"` // lines before it
	SHA256 string `json:"sha256"`
}

// OpenLinkList opens a list in a file. Close it when it is not needed any more; a
// [Job] reads it again while it runs.
func OpenLinkList(path string) (*LinkList, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	fsys := afero.NewOsFs()
	if fi, err := fsys.Stat(path); err != nil { // first: opening a pipe waits for who writes to it
		return nil, err
	} else if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: give it as a stream", path)
	}
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	l := newLinkList(f, path)
	l.file = f
	l.magic = MagicOf("link list", map[string]any{"path": abs})
	return l, nil
}

// NewLinkList returns a list that is read from r once, and whose errors call it
// name.
func NewLinkList(r io.Reader, name string) *LinkList {
	in := &stream{Reader: r}
	l := newLinkList(in, name)
	l.in = in
	return l
}

func newLinkList(r io.Reader, name string) *LinkList {
	l := &LinkList{name: name, r: newLineReader(r)}
	l.magic = MagicOf("link list", map[string]any{"name": name})
	return l
}

// Close closes the file of [OpenLinkList].
func (l *LinkList) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// Magic implements [Source]: it depends on the list's path, or name.
func (l *LinkList) Magic() string { return l.magic }

// Next implements [Source].
func (l *LinkList) Next(ctx context.Context) (Link, error) {
	if err := ctx.Err(); err != nil {
		return Link{}, context.Cause(ctx)
	}
	before := l.here()
	entry, err := l.next()
	if errors.Is(err, io.EOF) {
		l.last = before
		l.end()
		return Link{}, err
	}
	if _, bad := errors.AsType[*LineError](err); err != nil && !bad {
		return Link{}, err
	}
	l.last = before
	l.step()
	if err != nil {
		return Link{Line: entry.Line}, err
	}
	return entry.Link, nil
}

// here is where the next line begins, or a last one that has no end yet.
func (l *LinkList) here() place {
	return place{l.r.whole, l.r.ended, hex.EncodeToString(l.r.sum.Sum(nil))}
}

// listed is a link and where it stands.
type listed struct {
	Link
	line line
	text string // of the line
}

// next returns the next link, io.EOF, or what is wrong. With a *LineError, the line
// is there.
func (l *LinkList) next() (listed, error) {
	for l.over == nil {
		line, err := l.r.next()
		if err != nil {
			return listed{}, l.close(err, line.number)
		}
		text := string(line.text)
		link, ok, err := parseLine(text)
		if line.long && !errors.Is(err, ErrNotList) {
			err = errLongLine
		}
		if err == nil && !ok {
			continue
		}
		link.Line = line.number
		if err == nil {
			l.good = true
			return listed{link, line, text}, nil
		}
		return listed{link, line, text}, l.fault(err, line.number)
	}
	return listed{}, l.over
}

// fault says what is wrong with a line, or with all of the text.
func (l *LinkList) fault(err error, number int) error {
	l.bad++
	switch {
	case errors.Is(err, ErrNotList):
		return l.close(err, number)
	case !l.good && l.bad == manyBad:
		return l.close(fmt.Errorf("%w: %w", ErrNotList, err), number)
	}
	return &LineError{l.name, number, err}
}

// close reads no further.
func (l *LinkList) close(err error, number int) error {
	if !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s:%d: %w", l.name, number, err) // no *LineError: there is none behind it
	}
	l.over = err
	return err
}

// broke reports whether the list could not be read to its end.
func (l *LinkList) broke() bool { return l.over != nil && !errors.Is(l.over, io.EOF) }

// Freeze implements [Source].
func (l *LinkList) Freeze() (Frozen, error) {
	if !l.used {
		l.last = l.here()
	}
	return l.freeze(l.last)
}

// Thaw implements [Source]. Of a list that was changed before the place, in
// anything but what is behind it, the state is ErrForeign. A list without a file
// cannot be used after that.
func (l *LinkList) Thaw(f Frozen) error {
	var at place
	if err := l.thaw(f, &at); err != nil {
		return err
	}
	if at.Offset < 0 || at.Line < 0 {
		return fmt.Errorf("%w: its place is before the beginning", ErrCorrupt)
	}
	if err := l.skipTo(at); err != nil {
		return errors.Join(err, l.rewind())
	}
	l.thawed(f)
	l.last = at
	return nil
}

// skipTo goes to a place, if what is before it is what was there.
func (l *LinkList) skipTo(at place) error {
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(l.r.in, at.Offset))
	if err != nil {
		return err
	}
	if n < at.Offset || hex.EncodeToString(sum.Sum(nil)) != at.SHA256 {
		return fmt.Errorf("%w: %s was changed before line %d", ErrForeign, l.name, at.Line+1)
	}
	l.r.goOn(at.Offset, at.Line, sum)
	l.good = true
	return nil
}

// rewind goes back to the beginning of a file.
func (l *LinkList) rewind() error {
	if l.file == nil {
		l.over = fmt.Errorf("%s has been read, and is no file to be read again", l.name)
		return l.over
	}
	if _, err := l.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	l.r, l.over, l.good, l.bad = newLineReader(l.file), nil, false, 0
	return nil
}
