package fs

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
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
//	p, err := dir.Create(name, 0o666)
//	defer p.Cancel()
//	… p.WriteAt …
//	err = p.Commit(fs.SyncFile)
//
// WriteAt may be called from several goroutines at once where the file system
// allows it (the operating system's does); Commit and Cancel once writing is over.
type Partial struct {
	fsys        afero.Fs
	temp, final string
	perm        os.FileMode
	file        afero.File // for writing; nil once closed
	lock        afero.File // the separate, read-only descriptor that holds the lock; nil without locks
	mu          sync.Mutex // guards over
	over        bool       // committed or cancelled
}

// createPartial makes an empty partial file in the folder dir under stem and a
// suffix, and locks it. When somebody else has that one, the new one gets a
// name of its own: whoever comes second does not wait, and does not disturb.
func createPartial(fsys afero.Fs, dir, stem, final string, perm os.FileMode) (*Partial, error) {
	temp := path.Join(dir, stem+partialSuffix)
	for range maxCreateTries {
		p := &Partial{fsys: fsys, temp: temp, final: final, perm: perm & os.ModePerm}
		err := p.create()
		switch {
		case err == nil:
			return p, nil
		case errors.Is(err, os.ErrNotExist): // the folder is not there (any more)
			if err := makeFolder(fsys, dir); err != nil {
				return nil, err
			}
		case errors.Is(err, os.ErrExist):
			if removeIfUnheld(fsys, temp) {
				continue
			}
			temp = path.Join(dir, stem+"-"+randomHex()+partialSuffix)
		case errors.Is(err, errLost):
		default:
			return nil, err
		}
	}
	return nil, fmt.Errorf("create %s: somebody removes it again and again", temp)
}

// errLost says that a cleaner was faster: it removed the new, not yet locked file.
var errLost = errors.New("partial file removed before it was locked")

// create makes the file, takes the lock through a read-only descriptor, and
// opens the one for writing. A waiter or a lock holder with a descriptor open
// for writing would make the landed program fail with ETXTBSY (execve(2)).
func (p *Partial) create() error {
	lock, err := p.fsys.OpenFile(p.temp, os.O_RDONLY|os.O_CREATE|os.O_EXCL, p.perm|0o600)
	if err != nil {
		return err
	}
	locked, err := tryLock(lock)
	switch {
	case errors.Is(err, errNoLocks):
		err = lock.Close()
		lock = nil
	case err == nil && (!locked || unlinked(lock)):
		err = errLost
	}
	if err == nil {
		p.file, err = p.fsys.OpenFile(p.temp, os.O_WRONLY, 0)
	}
	p.lock = lock
	if err == nil {
		return nil
	}
	if !errors.Is(err, errLost) {
		_ = p.fsys.Remove(p.temp) // err says more than a second error would
	}
	p.unlock()
	return err
}

// removeIfUnheld removes a partial file that nobody holds and reports whether
// it is gone. Where there are no locks, nothing is known to be unheld.
func removeIfUnheld(fsys afero.Fs, temp string) bool {
	if fi, err := Lstat(fsys, temp); err == nil && !fi.Mode().IsRegular() {
		return fsys.Remove(temp) == nil // a link or a pipe: none of ours, and not to be opened
	}
	f, err := fsys.OpenFile(temp, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	defer f.Close() // read-only: nothing to lose
	if locked, err := tryLock(f); err != nil || !locked {
		return false
	}
	if !isAt(fsys, temp, f) {
		return false // it has landed or was removed, and the name is another's by now
	}
	if runtime.GOOS == "windows" { // which does not remove what is open
		_ = f.Close()
	}
	err = Remove(fsys, temp)
	return err == nil || errors.Is(err, os.ErrNotExist)
}

// isAt reports whether the open file is the one that has the name.
func isAt(fsys afero.Fs, name string, f afero.File) bool {
	there, err := Lstat(fsys, name)
	if err != nil {
		return false
	}
	open, err := f.Stat()
	return err == nil && os.SameFile(there, open)
}

// WriteAt stores b at off.
func (p *Partial) WriteAt(b []byte, off int64) (int, error) { return p.file.WriteAt(b, off) }

// Empty throws away what was written: it was of another version.
func (p *Partial) Empty() error { return p.file.Truncate(0) }

// Stat returns how many bytes the file has and the time of its last write, by the
// file system's clock. Somebody else may have changed it.
func (p *Partial) Stat() (size int64, modTime time.Time, err error) {
	fi, err := p.file.Stat()
	if err != nil {
		return 0, time.Time{}, err
	}
	return fi.Size(), fi.ModTime(), nil
}

// Commit flushes the data unless mode is SyncNone, closes the file and renames it
// to its final name, which it replaces; a directory there is an error and stays.
// After a failed flush, close or rename nothing is left. For SyncDir, call
// SyncName after it.
func (p *Partial) Commit(mode SyncMode) error {
	if !p.end() {
		return os.ErrClosed
	}
	if err := p.finish(mode); err != nil {
		return errors.Join(err, p.discard())
	}
	return nil
}

func (p *Partial) finish(mode SyncMode) error {
	if mode != SyncNone {
		if err := p.file.Sync(); err != nil {
			return err
		}
	}
	if err := p.restrict(); err != nil {
		return err
	}
	if err := p.close(); err != nil {
		return err
	}
	if err := p.rename(); err != nil {
		return err
	}
	p.unlock()
	return nil
}

// SyncName flushes the folder of a committed file, so that its name outlasts a
// power loss, too.
func (p *Partial) SyncName() error { return syncDir(p.fsys, path.Dir(p.final)) }

// restrict takes back the owner's bits that only writing needed.
func (p *Partial) restrict() error {
	extra := 0o600 &^ p.perm
	if extra == 0 {
		return nil
	}
	fi, err := p.file.Stat()
	if err != nil {
		return err
	}
	return p.fsys.Chmod(p.temp, fi.Mode().Perm()&^extra)
}

// rename gives the file its final name. The folder is made if it is not there,
// also when somebody takes it away, empty, at this very moment.
func (p *Partial) rename() error {
	if runtime.GOOS == "windows" { // which does not rename what is open
		p.unlock()
	}
	if fi, err := p.fsys.Stat(p.final); p.lock == nil && err == nil && fi.IsDir() {
		// afero.MemMapFs would replace it; an operating system's rename refuses.
		return &os.LinkError{Op: "rename", Old: p.temp, New: p.final, Err: errIsDir}
	}
	for range maxCreateTries {
		err := retryBusy(func() error { return p.fsys.Rename(p.temp, p.final) })
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if _, gone := p.fsys.Stat(p.temp); gone != nil {
			return err // it is the partial file that is not there
		}
		if err := makeFolder(p.fsys, path.Dir(p.final)); err != nil {
			return err
		}
	}
	return fmt.Errorf("rename to %s: somebody removes its folder again and again", p.final)
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
	err := Remove(p.fsys, p.temp)
	p.unlock()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// end reports whether the caller is the first to end the partial file.
func (p *Partial) end() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := !p.over
	p.over = true
	return first
}

func (p *Partial) close() error {
	if p.file == nil {
		return nil
	}
	f := p.file
	p.file = nil
	return f.Close()
}

func (p *Partial) unlock() {
	if p.lock == nil {
		return
	}
	_ = p.lock.Close() // read-only; closing it ends the lock
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
