package fs

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/spf13/afero"
)

// SyncMode says what is flushed to the disk before a file counts as finished.
type SyncMode int

const (
	SyncFile SyncMode = iota // the file's data, before it gets its name
	SyncDir                  // the data, and the directory after the rename
	SyncNone                 // nothing: the kernel writes when it likes
)

// partialSuffix ends the name of every file on its way.
const partialSuffix = ".part"

// maxCreateTries bounds how often a partial file is made anew because somebody
// removed it, or its directory, in between. Each try loses only against one
// concrete act of another process; a hundred in a row are an error worth seeing.
const maxCreateTries = 100

// Partial is a file on its way: written under a temporary name, then committed
// to its final one. Use it as
//
//	p, err := spot.Create(0o666, nil)
//	defer p.Cancel()
//	… p.WriteAt …
//	err = p.Commit(fs.SyncFile)
//
// WriteAt may be called from several goroutines at once where the file system
// allows it (the operating system's does); Keep, Commit and Cancel once writing
// is over.
type Partial struct {
	fsys        afero.Fs
	temp, final string
	perm        os.FileMode
	began       time.Time // to make it or take it over
	file        handle    // for writing; nil once closed
	lock        handle    // the descriptor that holds the lock; nil without locks
	both        bool      // file and lock are one
	note        *note     // beside; nil: none can be kept
	beside      note
	adopted     bool       // it was there
	replaces    bool       // final may be a file of the cache that somebody is evicting
	replaced    *Info      // what was there; see Replaced
	leases      bool       // lock is to be a lease once the file is committed
	mu          sync.Mutex // guards over
	over        bool       // committed, kept or cancelled
}

var errRemoved = errors.New("somebody removed the partial file while it was being written")

// errLost says that a cleaner was faster: it removed the new, not yet locked file.
var errLost = errors.New("partial file removed before it was locked")

// create makes the file and takes the lock. The lock of what is going to be a
// program is on a descriptor of its own, which is read-only: a waiter or a lock
// holder with one open for writing would make the landed program fail with ETXTBSY
// (execve(2)).
func (p *Partial) create() error {
	p.both = sharesDescriptor && p.perm&0o111 == 0
	lock, err := p.open()
	if err != nil {
		return err
	}
	p.lock = lock
	locked, err := tryLock(lock)
	switch {
	case errors.Is(err, errNoLocks):
		p.lock, p.both = nil, false
		err = lock.Close()
	case err == nil && (!locked || unlinked(lock)):
		err = errLost
	}
	if err == nil {
		err = p.openForWriting()
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, errLost) {
		_ = p.fsys.Remove(p.temp) // err says more than a second error would
	}
	p.unlock()
	return err
}

// open makes the file, and opens it for the lock at least.
func (p *Partial) open() (handle, error) {
	own, ok := p.fsys.(rootFs)
	switch {
	case !p.both:
		return p.fsys.OpenFile(p.temp, os.O_RDONLY|os.O_CREATE|os.O_EXCL, p.perm|0o600)
	case ok:
		return own.create(p.temp, p.perm|0o600)
	}
	return p.fsys.OpenFile(p.temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, p.perm|0o600)
}

func (p *Partial) openForWriting() (err error) {
	if p.both {
		p.file = p.lock
		return nil
	}
	p.file, err = p.fsys.OpenFile(p.temp, os.O_WRONLY, 0)
	return err
}

// adopt takes over a partial file that is there and that nobody holds. It
// returns ErrHeld if somebody does, errUnknown where nobody can tell, errLost if
// the name leads elsewhere by now, and errForeign for what is not ours to write:
// a link, another user's, or what accept refuses.
func (p *Partial) adopt(accept func(note []byte, size int64) bool) error {
	if fi, err := Lstat(p.fsys, p.temp); errors.Is(err, os.ErrNotExist) {
		return errLost
	} else if err == nil && !fi.Mode().IsRegular() {
		return errForeign // a link or a pipe: not to be opened
	}
	lock, err := p.fsys.OpenFile(p.temp, os.O_RDONLY|nonblock, 0)
	if errors.Is(err, os.ErrNotExist) {
		return errLost
	}
	if err != nil {
		return errUnknown // another user's
	}
	p.lock = lock
	if err = p.take(accept); err != nil && !errors.Is(err, errForeign) {
		p.unlock()
	}
	return err
}

// take is adopt from the open file on. After errForeign the lock is still held.
func (p *Partial) take(accept func(note []byte, size int64) bool) error {
	switch locked, err := tryLock(p.lock); {
	case err != nil:
		return errUnknown
	case !locked:
		return ErrHeld
	case !isAt(p.fsys, p.temp, p.lock):
		return errLost
	}
	fi, err := p.lock.Stat()
	if err != nil || accept == nil || !isOurs(fi) {
		return errForeign
	}
	text := p.note.read()
	if text == nil || !accept(text, fi.Size()) {
		return errForeign
	}
	file, err := p.fsys.OpenFile(p.temp, os.O_WRONLY, 0)
	if err != nil {
		return errForeign
	}
	if now, err := file.Stat(); err != nil || !os.SameFile(fi, now) {
		_ = file.Close() // nothing was written
		return errForeign
	}
	p.file, p.adopted = file, true
	return nil
}

// remove removes a partial file that adopt has found foreign.
func (p *Partial) remove() error {
	p.note.remove()
	if runtime.GOOS == "windows" { // which does not remove what is open
		p.unlock()
	}
	err := Remove(p.fsys, p.temp)
	p.unlock()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// isAt reports whether the open file is the one that has the name.
func isAt(fsys afero.Fs, name string, f handle) bool {
	there, err := Lstat(fsys, name)
	if err != nil {
		return false
	}
	open, err := f.Stat()
	return err == nil && os.SameFile(there, open)
}

// WriteAt stores b at off.
func (p *Partial) WriteAt(b []byte, off int64) (int, error) { return p.file.WriteAt(b, off) }

// ReadAt reads what was stored.
func (p *Partial) ReadAt(b []byte, off int64) (int, error) {
	f := p.lock // it is open for reading
	if f == nil {
		opened, err := p.fsys.Open(p.temp)
		if err != nil {
			return 0, err
		}
		defer opened.Close() // read-only: nothing to lose
		f = opened
	}
	return f.ReadAt(b, off)
}

// Clear cuts the file to 0: what was written is of another version.
func (p *Partial) Clear() error { return p.file.Truncate(0) }

// Extend gives the file its whole length, so that its size says what it is going
// to need, and with blocks these as well, where that helps. What is not written
// reads as zeros. After a failure with blocks the file may have some of them.
func (p *Partial) Extend(size int64, blocks bool) error {
	if blocks {
		switch err := allocate(p.file, size); {
		case err == nil:
			return nil
		case IsFull(err):
			return &os.PathError{Op: "fallocate", Path: p.file.Name(), Err: err}
		}
	}
	return p.file.Truncate(size)
}

// Sync flushes the data to the disk.
func (p *Partial) Sync() error { return p.file.Sync() }

// IsNew says that nothing has the final name: then nobody evicts what has it while it
// is replaced.
func (p *Partial) IsNew() { p.replaces = false }

// Replaced describes the file that a committed one has replaced, nil if there was
// none. Nobody had evicted it, and nobody has since.
func (p *Partial) Replaced() *Info { return p.replaced }

// Name returns the Name that the file would have as a Leftover.
func (p *Partial) Name() string { return p.temp }

// Adopted reports whether the file was there: an earlier download left it.
func (p *Partial) Adopted() bool { return p.adopted }

// Note replaces what is noted beside the file, for who adopts it one day. It
// is not flushed to the disk.
func (p *Partial) Note(text []byte) error {
	if p.note == nil {
		return errNoNote
	}
	return p.note.write(text)
}

// errNoNote says that the partial file cannot be adopted, so that nothing is noted.
var errNoNote = errors.New("partial file of its own")

// DropNote removes the note.
func (p *Partial) DropNote() error { return p.note.drop() }

// Keep closes the file and leaves it, with its note, to be adopted. Without a
// note, or without locks, nobody could, so that nothing is left.
func (p *Partial) Keep() error {
	if !p.end() {
		return nil
	}
	if p.lock == nil || unlinked(p.lock) || !p.adopted && !p.note.written() || !p.isAdoptable() {
		return p.discard()
	}
	err := errors.Join(p.close(), p.note.close())
	p.unlock()
	return err
}

// isAdoptable reports whether who comes next can lock the file, which he opens only for
// reading: some network file systems lock what is open for writing alone (flock(2)).
func (p *Partial) isAdoptable() bool {
	if !p.both {
		return true
	}
	f, err := p.fsys.OpenFile(p.temp, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return false
	}
	defer f.Close()     // read-only: nothing to lose
	_, err = tryLock(f) // it is held here
	return err == nil
}

// Stat returns how many bytes the file has and the time of its last write, by the
// file system's clock. Somebody else may have changed it.
func (p *Partial) Stat() (size int64, modTime time.Time, err error) {
	info, err := statOpen(p.file)
	return info.Size, info.ModTime, err
}

// makeFolder makes the folder and its parents. Somebody who removes it while it
// is made can make MkdirAll say that it exists; the caller finds out.
func makeFolder(fsys afero.Fs, dir string) error {
	err := fsys.MkdirAll(dir, 0o777)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

var errIsDir = errors.New("a directory is in its place")

// Cancel closes and removes the partial file. After Commit, or a second time,
// it does nothing.
func (p *Partial) Cancel() error {
	if !p.end() {
		return nil
	}
	return p.discard()
}

func (p *Partial) discard() error {
	_ = p.close() // what was written is not wanted any more
	if p.lock != nil && unlinked(p.lock) {
		_ = p.note.close() // file and note of that name are another's by now
		p.unlock()
		return nil
	}
	p.forgetNote() // first: a note without a file is read by nobody
	err := Remove(p.fsys, p.temp)
	p.unlock()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// forgetNote removes the note, if there is one.
func (p *Partial) forgetNote() {
	if p.adopted || p.note.written() {
		p.note.remove()
	}
}

// end reports whether the caller is the first to end the partial file.
func (p *Partial) end() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := !p.over
	p.over = true
	return first
}

// close ends the writing, and returns what the file system could not store, which
// some say only then.
func (p *Partial) close() error {
	if p.file == nil {
		return nil
	}
	f := p.file
	p.file = nil
	if p.both { // the lock is still needed
		return closeCopy(f)
	}
	return f.Close()
}

func (p *Partial) unlock() {
	if p.lock == nil {
		return
	}
	_ = p.lock.Close() // nothing was written through it since close; this ends the lock
	p.lock = nil
}

func syncDir(fsys afero.Fs, dir string) error {
	if runtime.GOOS == "windows" { // which cannot flush a directory
		return nil
	}
	f, err := fsys.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func randomHex() string {
	var b [8]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
