package unpack

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/spf13/afero"
)

// bufferBytes is how much is read and written at a time; the decoders have buffers of
// their own.
const bufferBytes = 256 << 10

// extraction is one archive on its way into one folder. It belongs to one goroutine.
type extraction struct {
	ctx    context.Context
	strip  int
	src    *source
	tree   *tree
	limits *limits
	now    time.Time
	buf    []byte
	format string // as errors call it
	at     int64  // where the entry's data begin, in formats that are not read in order
}

func newExtraction(o Options, src *source, into afero.Fs) *extraction {
	l := newLimits(o, src.size)
	return &extraction{
		ctx: src.ctx, strip: o.Strip, src: src, limits: l, now: time.Now(),
		tree: newTree(into, l), buf: make([]byte, bufferBytes),
	}
}

// run unpacks the archive. name is its own, for a single file.
func (x *extraction) run(f format, name string) error {
	x.format = f.String()
	if f == zipped {
		return x.zip()
	}
	packed := bufio.NewReaderSize(x.src, bufferBytes)
	if f == tarred {
		return x.tar(packed, true)
	}
	plain, header, err := decompress(f, packed)
	if err != nil {
		return x.readError("", err)
	}
	defer plain.Close() // which releases memory, and has nothing to say
	stream := bufio.NewReaderSize(plain, bufferBytes)
	head, err := stream.Peek(headBytes)
	if err != nil && !isEOF(err) {
		return x.readError("", err)
	}
	if isTar(head) {
		x.format = "tar." + x.format
		return x.tar(stream, false)
	}
	return x.single(f, name, header, stream)
}

// kind is what an entry becomes.
type kind int

const (
	folder kind = iota
	regular
	symlink
	hardlink
	replaced // by a later entry
)

// entry is what an archive says of one of its entries.
type entry struct {
	name    string // as the archive has it
	kind    kind
	size    int64  // of a regular file, in bytes; -1: not known
	target  string // of a link
	mode    os.FileMode
	noMode  bool // mode is nothing that the archive says
	modTime time.Time
}

// add makes one entry. content is that of a regular file.
func (x *extraction) add(e entry, content io.Reader) error {
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	if err := x.limits.addEntry(e.name, e.target); err != nil {
		return err
	}
	name, err := x.locate(e.name)
	if err != nil {
		return err
	}
	if e.kind == regular && e.size > 0 {
		if err := x.limits.addBytes(e.name, e.size, e.size); err != nil {
			return err
		}
	}
	if name == "." {
		if e.kind != folder && x.strip == 0 {
			return refuse(e.name, "its name is that of the folder itself")
		}
		return nil
	}
	switch e.kind {
	case folder:
		return x.tree.addFolder(name, e.name)
	case regular:
		return x.addFile(name, e, content)
	case symlink:
		return x.tree.addSymlink(name, e.name, e.target)
	default:
		return x.addHardlink(name, e)
	}
}

// locate returns where an entry goes: a clean path, or "." when its name leaves none.
func (x *extraction) locate(name string) (string, error) {
	clean, err := cleanPath(name)
	if err != nil {
		return "", refuse(name, err.Error())
	}
	return strip(clean, x.strip), nil
}

// addFile makes a regular file of the content. A size that is not known is counted as
// the bytes come.
func (x *extraction) addFile(name string, e entry, content io.Reader) error {
	if e.mode&(os.ModeSetuid|os.ModeSetgid) != 0 {
		return refuse(e.name, "it is a program that runs with its owner's rights (set-user-ID or set-group-ID)")
	}
	if err := x.tree.addFile(name, e.name); err != nil {
		return err
	}
	return x.writeFile(name, e, content, func(head []byte) os.FileMode {
		if e.mode&0o100 != 0 || e.noMode && isProgram(head) {
			return 0o777
		}
		return 0o666
	})
}

// writeFile writes a file that is not there, with the permissions that its beginning
// calls for.
func (x *extraction) writeFile(name string, e entry, content io.Reader, perm func(head []byte) os.FileMode) error {
	n, err := x.fill(e, 0, content)
	if err != nil && !isEOF(err) {
		return err
	}
	f, createErr := x.tree.into.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm(x.buf[:n]))
	if createErr != nil {
		return writeError(e.name, createErr)
	}
	written := int64(n)
	failed := x.writeBuffer(f, e, n)
	for failed == nil && err == nil {
		if n, err = x.fill(e, written, content); err != nil && !isEOF(err) {
			failed = err
			break
		}
		failed = x.writeBuffer(f, e, n)
		written += int64(n)
	}
	if closed := f.Close(); failed == nil && closed != nil {
		failed = writeError(e.name, closed)
	}
	if failed != nil {
		return failed
	}
	return x.setTime(name, e)
}

// writeBuffer writes the first n bytes of the buffer.
func (x *extraction) writeBuffer(f afero.File, e entry, n int) error {
	if n == 0 {
		return nil
	}
	if _, err := f.Write(x.buf[:n]); err != nil {
		return writeError(e.name, err)
	}
	return nil
}

// fill reads the next bytes of an entry of which there were size already. At the end of
// the entry the error is io.EOF.
func (x *extraction) fill(e entry, size int64, content io.Reader) (int, error) {
	if x.ctx.Err() != nil {
		return 0, context.Cause(x.ctx)
	}
	n, err := 0, error(nil)
	for n < len(x.buf) && err == nil {
		var more int
		more, err = content.Read(x.buf[n:])
		n += more
	}
	if err != nil && !isEOF(err) {
		return 0, x.readError(e.name, err)
	}
	if e.size < 0 {
		if limit := x.limits.addBytes(e.name, int64(n), size+int64(n)); limit != nil {
			return 0, limit
		}
	}
	return n, err
}

// setTime gives the file the entry's time, within reason. Without one it keeps its own.
func (x *extraction) setTime(name string, e entry) error {
	at := e.modTime
	switch {
	case at.IsZero():
		return nil
	case at.After(x.now):
		at = x.now
	case at.Before(time.Unix(0, 0)):
		at = time.Unix(0, 0)
	}
	if err := x.tree.into.Chtimes(name, x.now, at); err != nil {
		return writeError(e.name, err)
	}
	return nil
}

// readError says what it means that reading failed: that the archive could not be read,
// that it is over a limit, or else that it is damaged.
func (x *extraction) readError(entry string, err error) error {
	if over, ok := errors.AsType[*LimitError](err); ok {
		over.Entry = entry
		return over
	}
	offset, failed := x.src.failure()
	switch {
	case failed != nil:
		return failed
	case isWindow(err):
		return &LimitError{Entry: entry, Max: maxWindow, reason: "the archive needs more than " + show(maxWindow) +
			" of memory to be read; compress it with a smaller window or dictionary"}
	}
	if x.at > 0 {
		offset = x.at
	}
	if isEOF(err) {
		err = io.ErrUnexpectedEOF
	}
	return &DamagedError{Entry: entry, Offset: offset, Err: err}
}
