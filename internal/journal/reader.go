package journal

import (
	"context"
	"os"

	"github.com/spf13/afero"
)

// Reader follows a journal that others append to and write anew. It must not be
// used by two at once.
type Reader struct {
	fsys afero.Fs
	name string
	file opened // its file is nil: none was read, or it has to be opened anew
	size int64  // it had when it was read last
	end  int64  // of the last record that was read
	last int64  // where that began
}

// NewReader returns a reader of the journal called name on fsys. Nothing is opened
// yet.
func NewReader(fsys afero.Fs, name string) *Reader { return &Reader{fsys: fsys, name: name} }

// Follow calls fn with the payload and the offset of every record that was not
// read yet. Should the journal be another one than the last time, anew is called
// first, and all of it is read. When nothing has happened, this is one system call.
func (r *Reader) Follow(ctx context.Context, anew func(), fn func(payload []byte, at int64)) error {
	size, err := r.open(anew)
	if err != nil {
		return err
	}
	if !r.file.lasts {
		defer r.file.close() // read-only: nothing to lose
	}
	if size == r.size {
		return nil
	}
	end, _, err := Replay(ctx, r.file, r.end, func(payload []byte, at int64) {
		r.last = at
		if len(payload) > 0 && payload[0] == ownPayload {
			return
		}
		fn(payload, at)
	})
	r.end = end
	if err == nil {
		r.size = max(size, end) // what came while it was read may be in
	}
	return err
}

// open makes the file the one that has the journal's name now, and returns its
// size.
func (r *Reader) open(anew func()) (size int64, err error) {
	if r.file.File != nil {
		size, current := r.file.isCurrent(r.fsys, r.name)
		if current && size >= r.end {
			return size, nil
		}
		r.restart(anew)
	}
	if r.file, err = openFile(r.fsys, r.name, os.O_RDONLY); err != nil {
		r.restart(anew)
		return 0, err
	}
	fi, err := r.file.Stat()
	if err != nil || fi.Size() < r.end {
		r.size, r.end = 0, 0
		anew()
	}
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// restart forgets what was read.
func (r *Reader) restart(anew func()) {
	_ = r.Close() // read-only: nothing to lose
	anew()
}

// Read returns the payload of the record at the offset at of the journal that was
// read last.
func (r *Reader) Read(at int64) ([]byte, error) {
	if r.file.File == nil {
		f, err := openFile(r.fsys, r.name, os.O_RDONLY)
		if err != nil {
			return nil, err
		}
		defer f.close() // read-only: nothing to lose
		return ReadRecord(f, at)
	}
	return ReadRecord(r.file, at)
}

// End returns up to where the journal was read.
func (r *Reader) End() int64 { return r.end }

// Replaced reports whether another journal has taken the place of the one that was
// read, as far as that can be told without opening it.
func (r *Reader) Replaced() bool {
	if r.file.File == nil {
		return false
	}
	_, current := r.file.isCurrent(r.fsys, r.name)
	return !current
}

// Mark is a place in a journal, right behind a record.
type Mark struct {
	At   int64            // offset of the record
	Head [headerSize]byte // how it begins, with its checksum
}

// Mark returns the place up to which the journal was read. It is an error if
// nothing was.
func (r *Reader) Mark() (m Mark, err error) {
	if r.end == 0 {
		return m, ErrNoRecord
	}
	m.At = r.last
	payload, err := r.Read(m.At)
	if err != nil {
		return m, err
	}
	record, err := AppendRecord(nil, payload)
	copy(m.Head[:], record)
	return m, err
}

// Resume has Follow go on at a mark of this or another process, if that is one of
// the journal that is there. It does nothing once something was read.
func (r *Reader) Resume(m Mark) bool {
	if r.end != 0 || r.file.File != nil {
		return false
	}
	f, err := openFile(r.fsys, r.name, os.O_RDONLY)
	if err != nil {
		return false
	}
	r.file = f
	payload, err := ReadRecord(f, m.At)
	record, longErr := AppendRecord(nil, payload)
	if err != nil || longErr != nil || [headerSize]byte(record) != m.Head {
		_ = r.Close() // read-only: nothing to lose
		return false
	}
	r.last, r.end = m.At, m.At+int64(len(record))
	r.size = r.end
	if !f.lasts {
		_ = r.file.close()
	}
	return true
}

// Close closes the file. What is read next is read from the beginning.
func (r *Reader) Close() error {
	r.size, r.end, r.last = 0, 0, 0
	return r.file.close()
}
