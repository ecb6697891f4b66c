package journal

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/spf13/afero"
)

// Log is a journal to append to. It is safe for concurrent use.
type Log struct {
	fsys afero.Fs
	name string

	mu   sync.Mutex // guards all below
	file opened     // its file is nil until something is appended
	base int64      // how long the journal was when it was written anew; 0: it was not
	buf  []byte     // of Append; at most 64 KiB, as records are
}

// New returns the journal called name on fsys. Nothing is opened or made yet.
func New(fsys afero.Fs, name string) *Log { return &Log{fsys: fsys, name: name} }

// maxAppendTries bounds how often a record is appended because the journal is
// written anew meanwhile, which takes much longer than an append.
const maxAppendTries = 10

var errUnsteady = errors.New("somebody replaces it again and again")

// Append writes one record at the end, and makes the file when it is not there.
// It reports whether most of the journal may be out of date by now, so that it is
// worth writing anew.
//
// What comes to a file that has lost the journal's name is appended once more, to
// the one that has it: see [Log.Compact].
func (l *Log) Append(payload []byte) (due bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	record, err := AppendRecord(l.buf[:0], payload)
	if err != nil {
		return false, err
	}
	l.buf = record
	for range maxAppendTries {
		if err := l.open(); err != nil {
			return false, err
		}
		if _, err := l.file.Write(record); err != nil {
			return false, err
		}
		size, current := l.file.isCurrent(l.fsys, l.name)
		if current {
			return isDue(size, l.base), nil
		}
		_ = l.file.close() // each record was written whole or reported
	}
	return false, &os.PathError{Op: "append", Path: l.name, Err: errUnsteady}
}

// open opens the file that has the journal's name now.
func (l *Log) open() error {
	if l.file.File != nil && l.file.lasts {
		return nil
	}
	if l.file.File != nil {
		_ = l.file.close()
	}
	f, err := openFile(l.fsys, l.name, os.O_RDWR|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return err
	}
	l.file, l.base = f, readBase(f)
	if f.lasts {
		return nil
	}
	// Elsewhere than on the operating system's file system, appending is not a
	// property of the open file.
	_, err = f.Seek(0, io.SeekEnd)
	return err
}

// Close closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.close()
}

// opened is an open journal file.
type opened struct {
	afero.File
	lasts bool   // it is of the operating system: one can tell whether it still is the journal
	links uint64 // how many names it had when it was known to be the journal; 0: not known
}

var errForeign = errors.New("not a regular file: remove it")

// openFile opens the journal, unless somebody put something else in its place: a
// pipe would hold us for ever, and a link lead to another file.
func openFile(fsys afero.Fs, name string, flag int) (opened, error) {
	if fi, err := lstat(fsys, name); err == nil && !fi.Mode().IsRegular() {
		return opened{}, &os.PathError{Op: "open", Path: name, Err: errForeign}
	}
	f, err := fsys.OpenFile(name, flag|nonblock, 0o666)
	if err != nil {
		return opened{}, err
	}
	o := opened{File: f}
	if _, o.lasts = f.(*os.File); o.lasts {
		_, o.links, _ = look(f)
	}
	return o, nil
}

func lstat(fsys afero.Fs, name string) (os.FileInfo, error) {
	if l, ok := fsys.(afero.Lstater); ok {
		fi, _, err := l.LstatIfPossible(name)
		return fi, err
	}
	return fsys.Stat(name)
}

// isCurrent reports whether the open file still is the journal, and its size. A
// file that is replaced loses a name, so as long as it has as many as before,
// that is known without a look at the folder.
func (o *opened) isCurrent(fsys afero.Fs, name string) (size int64, current bool) {
	size, names, err := look(o.File)
	switch {
	case err != nil:
		return 0, false
	case !o.lasts:
		return size, true // it was opened a moment ago, and nothing tells two files apart
	case names == o.links && names > 0:
		return size, true
	}
	there, err := lstat(fsys, name)
	if err != nil {
		return size, false
	}
	open, err := o.Stat()
	if err != nil || !os.SameFile(there, open) {
		return size, false
	}
	o.links = names
	return size, true
}

func sizeOf(f afero.File) (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

func (o *opened) close() error {
	if o.File == nil {
		return nil
	}
	f := o.File
	o.File = nil
	return f.Close()
}

// ownPayload is the first byte of the journal's own payloads.
const ownPayload = 0

// appendBase appends the record that says how long the journal is. It has always
// the same length.
func appendBase(b []byte, length int64) []byte {
	b, _ = AppendRecord(b, binary.LittleEndian.AppendUint64([]byte{ownPayload}, uint64(length)))
	return b
}

// readBase returns how long the journal was when it was written anew; 0 if it
// never was.
func readBase(f io.ReaderAt) int64 {
	payload, err := ReadRecord(f, 0)
	if err != nil || len(payload) != 9 || payload[0] != ownPayload {
		return 0
	}
	return max(0, int64(binary.LittleEndian.Uint64(payload[1:])))
}

// minDue is how many bytes have to be added at least before a journal is worth
// writing anew: some sixteen thousand records, which are read in four milliseconds. Most
// caches are filled with less, and writing anew what is all of it up to date would be a
// hundredth of what small files take.
const minDue = 4 << 20

// isDue reports whether a journal of size bytes is worth writing anew. That it has
// at least doubled makes it cost as much as appending, however long it is.
func isDue(size, base int64) bool {
	if base > size {
		base = 0 // it was cut since, or lies
	}
	return size-base > base+minDue
}

// IsDue reports whether the journal is worth writing anew. It reads its first
// record only.
func (l *Log) IsDue() bool {
	f, err := openFile(l.fsys, l.name, os.O_RDONLY)
	if err != nil {
		return false
	}
	defer f.close() // read-only: nothing to lose
	fi, err := f.Stat()
	return err == nil && isDue(fi.Size(), readBase(f))
}
