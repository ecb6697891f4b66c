package fs

import (
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/afero"
)

// rootFs is an afero.Fs on an os.Root: names are relative to the root, and no
// symbolic link leads out of it. (afero.BasePathFs follows such links.)
//
// os.Root opens a path folder by folder. What every download needs several times,
// the folder of the partial files, is kept open instead.
type rootFs struct {
	root     *os.Root
	partials *openFolder // nil: none is kept open
	home     *homeFolder // the root itself; nil: it is not kept open
}

var (
	_ afero.Fs      = rootFs{}
	_ afero.Lstater = rootFs{}
)

// file turns what os.Root returns into afero's interface without making an
// interface that holds a nil pointer.
func file(f *os.File, err error) (afero.File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (r rootFs) Name() string { return "rootFs" }

func (r rootFs) Create(name string) (afero.File, error) {
	return file(r.root.Create(filepath.FromSlash(name)))
}

func (r rootFs) Open(name string) (afero.File, error) {
	return file(r.root.Open(filepath.FromSlash(name)))
}

func (r rootFs) OpenFile(name string, flag int, perm os.FileMode) (afero.File, error) {
	if base, ok := r.partials.has(name); ok {
		return file(r.partials.openFile(name, base, flag, perm))
	}
	return file(r.root.OpenFile(filepath.FromSlash(name), flag, perm))
}

// create is OpenFile for a new file that is written and read, and that only this package
// gets.
func (r rootFs) create(name string, perm os.FileMode) (handle, error) {
	if base, ok := r.partials.has(name); ok {
		return r.partials.createFile(name, base, perm)
	}
	return r.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
}

func (r rootFs) Mkdir(name string, perm os.FileMode) error {
	return r.root.Mkdir(filepath.FromSlash(name), perm)
}

func (r rootFs) MkdirAll(name string, perm os.FileMode) error {
	return r.root.MkdirAll(filepath.FromSlash(name), perm)
}

func (r rootFs) Remove(name string) error {
	if base, ok := r.partials.has(name); ok {
		return r.partials.remove(base)
	}
	return r.root.Remove(filepath.FromSlash(name))
}

func (r rootFs) RemoveAll(name string) error { return r.root.RemoveAll(filepath.FromSlash(name)) }

func (r rootFs) Rename(from, to string) error { return r.renameSince(from, to, time.Now()) }

// renameSince is Rename into the folder that has its name, or had it since a time.
func (r rootFs) renameSince(from, to string, since time.Time) error {
	if base, ok := r.partials.has(from); ok {
		return r.partials.renameOut(base, to, since)
	}
	return r.root.Rename(filepath.FromSlash(from), filepath.FromSlash(to))
}

func (r rootFs) Stat(name string) (os.FileInfo, error) {
	return r.root.Stat(filepath.FromSlash(name))
}

func (r rootFs) LstatIfPossible(name string) (os.FileInfo, bool, error) {
	if base, ok := r.partials.has(name); ok {
		fi, err := r.partials.lstat(base)
		return fi, true, err
	}
	fi, err := r.root.Lstat(filepath.FromSlash(name))
	return fi, true, err
}

func (r rootFs) Chmod(name string, mode os.FileMode) error {
	return r.root.Chmod(filepath.FromSlash(name), mode)
}

func (r rootFs) Chown(name string, uid, gid int) error {
	return r.root.Chown(filepath.FromSlash(name), uid, gid)
}

func (r rootFs) Chtimes(name string, atime, mtime time.Time) error {
	if base, ok := r.partials.has(name); ok {
		return r.partials.chtimes(base, atime, mtime)
	}
	if !atime.IsZero() { // a zero time leaves that one as it is
		if done, err := r.home.setTimes(name, atime, mtime); done {
			return err
		}
	}
	return r.root.Chtimes(filepath.FromSlash(name), atime, mtime)
}

// Lstat does not follow a link where the file system can tell; else it is Stat.
func Lstat(fsys afero.Fs, name string) (os.FileInfo, error) {
	if l, ok := fsys.(afero.Lstater); ok {
		fi, _, err := l.LstatIfPossible(name)
		return fi, err
	}
	return fsys.Stat(name)
}
