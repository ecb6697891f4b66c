package fs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// openFolder is a folder of a root that is kept open: what is in it is reached in one
// step. Should it be removed, it is opened anew when it is there again. It is safe
// for concurrent use. A nil openFolder has nothing.
type openFolder struct {
	root *os.Root
	home *homeFolder // root itself
	name string      // below root

	mu   sync.RWMutex // guards all below, and keeps them open while they are used
	self *os.Root     // nil: not open
	dir  *os.File     // self
	sure bool         // to close a file in it cannot fail
}

// has reports whether the name is that of a file directly in the folder.
func (f *openFolder) has(name string) (base string, ok bool) {
	if f == nil {
		return "", false
	}
	folder, base := cutBase(name)
	return base, folder == f.name && base != "" && base != "." && base != ".." && strings.IndexByte(base, '\\') < 0
}

// with calls fn while the folder is open. It is opened anew after fn has found
// nothing: perhaps it is another one by now.
func (f *openFolder) with(fn func() error) error {
	f.mu.RLock()
	if f.self == nil {
		f.mu.RUnlock()
		if err := f.open(); err != nil {
			return err
		}
		f.mu.RLock()
	}
	if f.self == nil { // closed at this very moment
		f.mu.RUnlock()
		return os.ErrClosed
	}
	err := fn()
	f.mu.RUnlock()
	if errors.Is(err, os.ErrNotExist) && f.isGone() {
		_ = f.close() // read-only: nothing to lose
	}
	return err
}

func (f *openFolder) open() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.self != nil {
		return nil
	}
	self, err := f.root.OpenRoot(filepath.FromSlash(f.name))
	if err != nil {
		return err
	}
	dir, err := self.Open(".")
	if err != nil {
		return errors.Join(err, self.Close())
	}
	f.self, f.dir, f.sure = self, dir, isSureToClose(dir)
	return nil
}

// isGone reports whether the name leads elsewhere by now.
func (f *openFolder) isGone() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.self == nil {
		return false
	}
	open, err := f.dir.Stat()
	if err != nil {
		return true
	}
	there, err := f.root.Lstat(filepath.FromSlash(f.name))
	return err != nil || !os.SameFile(open, there)
}

func (f *openFolder) close() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.self == nil {
		return nil
	}
	err := errors.Join(f.self.Close(), f.dir.Close())
	f.self, f.dir = nil, nil
	return err
}

func (f *openFolder) openFile(name, base string, flag int, perm os.FileMode) (file *os.File, err error) {
	err = f.with(func() error {
		file, err = f.openIn(name, base, flag, perm)
		return err
	})
	return file, err
}

func (f *openFolder) createFile(name, base string, perm os.FileMode) (file handle, err error) {
	err = f.with(func() error {
		file, err = f.createIn(name, base, perm)
		return err
	})
	return file, err
}

func (f *openFolder) lstat(base string) (fi os.FileInfo, err error) {
	err = f.with(func() error {
		fi, err = f.self.Lstat(base)
		return err
	})
	return fi, err
}

func (f *openFolder) remove(base string) error {
	return f.with(func() error { return f.self.Remove(base) })
}

func (f *openFolder) chtimes(base string, atime, mtime time.Time) error {
	return f.with(func() error {
		if atime.IsZero() || mtime.IsZero() { // which leaves that one as it is
			return f.self.Chtimes(base, atime, mtime)
		}
		return f.setTimes(base, atime, mtime)
	})
}

// renameOut gives a file a name below the root, outside the folder: in the folder that
// has its name, or had it since a time.
func (f *openFolder) renameOut(base, to string, since time.Time) error {
	return f.with(func() error { return f.renameTo(base, to, since) })
}
