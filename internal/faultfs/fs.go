// Package faultfs is an afero.Fs that wraps another one and fails on purpose.
// It is for tests only.
//
//	f := faultfs.New(afero.NewMemMapFs())
//	f.Fail(faultfs.OpSync, nil, syscall.EIO) // every Sync of every file
//	f.FailAt(7, syscall.ENOSPC)              // the seventh operation from now
//	f.ShortWrite(nil, 1000, syscall.ENOSPC)  // room for 1000 more bytes
//
// Every operation on the file system or on an open file is one step, except
// those that reach no disk (Name, Seek). An operation that fails on purpose
// does not reach the wrapped file system, with two exceptions that are those
// of the kernel: a failing Close closes, and a write that ShortWrite fails
// stores what fits.
//
// Injected errors come as the os package gives them: in an *os.PathError, of
// Rename in an *os.LinkError, with the name that was given.
package faultfs

import (
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spf13/afero"
)

// Op is a kind of operation, for rules and in the log.
type Op string

// The operations. Opening with O_CREATE is OpCreate, whether or not the file
// is there already; a Stat or Lstat by name or of an open file is OpStat; At
// variants count as Read and Write.
const (
	OpOpen     Op = "open"
	OpCreate   Op = "create"
	OpMkdir    Op = "mkdir" // also MkdirAll, as one step
	OpRead     Op = "read"
	OpReaddir  Op = "readdir"
	OpWrite    Op = "write"
	OpSync     Op = "sync"
	OpClose    Op = "close"
	OpRename   Op = "rename"
	OpRemove   Op = "remove" // also RemoveAll, as one step
	OpStat     Op = "stat"
	OpChtimes  Op = "chtimes"
	OpChmod    Op = "chmod"
	OpChown    Op = "chown"
	OpTruncate Op = "truncate"
)

// Fs is the failing file system. It is safe for concurrent use as far as the
// wrapped one is; rules may be added and removed at any time.
type Fs struct {
	base afero.Fs

	mu    sync.Mutex // guards all below
	steps int
	log   []string
	at    map[int]error // by step
	rules []*rule
	open  []*file
}

var (
	_ afero.Fs      = (*Fs)(nil)
	_ afero.Lstater = (*Fs)(nil)
)

// New wraps base. Without rules it behaves as base does.
func New(base afero.Fs) *Fs {
	return &Fs{base: base, at: map[int]error{}}
}

// Steps returns the number of operations so far, those that failed included.
func (f *Fs) Steps() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.steps
}

// Log returns a line for every operation so far, in their order, such as
// "rename a -> b" or "sync a: input/output error" for one that was made to fail.
func (f *Fs) Log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// OpenFiles returns the names of the files that are open, sorted, one for
// every handle. A test asserts that there is none.
func (f *Fs) OpenFiles() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make([]string, 0, len(f.open))
	for _, file := range f.open {
		names = append(names, file.name)
	}
	slices.Sort(names)
	return names
}

// Name implements afero.Fs.
func (f *Fs) Name() string { return "faultfs(" + f.base.Name() + ")" }

// Create implements afero.Fs.
func (f *Fs) Create(name string) (afero.File, error) {
	return f.opened(OpCreate, name, func() (afero.File, error) { return f.base.Create(name) })
}

// Open implements afero.Fs.
func (f *Fs) Open(name string) (afero.File, error) {
	return f.opened(OpOpen, name, func() (afero.File, error) { return f.base.Open(name) })
}

// OpenFile implements afero.Fs.
func (f *Fs) OpenFile(name string, flag int, perm os.FileMode) (afero.File, error) {
	op := OpOpen
	if flag&os.O_CREATE != 0 {
		op = OpCreate
	}
	return f.opened(op, name, func() (afero.File, error) { return f.base.OpenFile(name, flag, perm) })
}

func (f *Fs) opened(op Op, name string, open func() (afero.File, error)) (afero.File, error) {
	if err := f.step(op, "open", name); err != nil {
		return nil, err
	}
	base, err := open()
	if err != nil {
		return nil, err
	}
	handle := &file{File: base, fs: f, name: name}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = append(f.open, handle)
	return handle, nil
}

// Mkdir implements afero.Fs.
func (f *Fs) Mkdir(name string, perm os.FileMode) error {
	return f.do(OpMkdir, "mkdir", name, func() error { return f.base.Mkdir(name, perm) })
}

// MkdirAll implements afero.Fs.
func (f *Fs) MkdirAll(path string, perm os.FileMode) error {
	return f.do(OpMkdir, "mkdir", path, func() error { return f.base.MkdirAll(path, perm) })
}

// Remove implements afero.Fs.
func (f *Fs) Remove(name string) error {
	return f.do(OpRemove, "remove", name, func() error { return f.base.Remove(name) })
}

// RemoveAll implements afero.Fs.
func (f *Fs) RemoveAll(path string) error {
	return f.do(OpRemove, "unlinkat", path, func() error { return f.base.RemoveAll(path) })
}

// Rename implements afero.Fs. Rules are asked for either name.
func (f *Fs) Rename(oldname, newname string) error {
	if err := f.fault(OpRename, oldname, newname); err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	return f.base.Rename(oldname, newname)
}

// Stat implements afero.Fs.
func (f *Fs) Stat(name string) (info fs.FileInfo, err error) {
	err = f.do(OpStat, "stat", name, func() error {
		info, err = f.base.Stat(name)
		return err
	})
	return info, err
}

// LstatIfPossible implements afero.Lstater; where the wrapped file system does
// not, it is Stat.
func (f *Fs) LstatIfPossible(name string) (info fs.FileInfo, lstat bool, err error) {
	base, ok := f.base.(afero.Lstater)
	if !ok {
		info, err = f.Stat(name)
		return info, false, err
	}
	err = f.do(OpStat, "lstat", name, func() error {
		info, lstat, err = base.LstatIfPossible(name)
		return err
	})
	return info, lstat, err
}

// Chmod implements afero.Fs.
func (f *Fs) Chmod(name string, mode os.FileMode) error {
	return f.do(OpChmod, "chmod", name, func() error { return f.base.Chmod(name, mode) })
}

// Chown implements afero.Fs.
func (f *Fs) Chown(name string, uid, gid int) error {
	return f.do(OpChown, "chown", name, func() error { return f.base.Chown(name, uid, gid) })
}

// Chtimes implements afero.Fs.
func (f *Fs) Chtimes(name string, atime, mtime time.Time) error {
	return f.do(OpChtimes, "chtimes", name, func() error { return f.base.Chtimes(name, atime, mtime) })
}

// do is one step that either fails or is act.
func (f *Fs) do(op Op, word, name string, act func() error) error {
	if err := f.step(op, word, name); err != nil {
		return err
	}
	return act()
}

// step counts an operation and returns the error it is to fail with. The word
// is what the os package calls the operation.
func (f *Fs) step(op Op, word, name string) error {
	if err := f.fault(op, name); err != nil {
		return &os.PathError{Op: word, Path: name, Err: err}
	}
	return nil
}
