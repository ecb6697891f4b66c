package faultfs

import (
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/afero"
)

// file is an open file whose operations are steps. Name and Seek are those of
// the wrapped file.
type file struct {
	afero.File
	fs   *Fs
	name string // as opened: what rules are asked for
}

func (f *file) step(op Op, word string) error { return f.fs.step(op, word, f.name) }

func (f *file) Read(p []byte) (int, error) {
	if err := f.step(OpRead, "read"); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.step(OpRead, "read"); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *file) Write(p []byte) (int, error) {
	return f.write(p, f.File.Write)
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	return f.write(p, func(p []byte) (int, error) { return f.File.WriteAt(p, off) })
}

func (f *file) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

// write is one step. It stores as much of p as the rules leave room for.
func (f *file) write(p []byte, store func([]byte) (int, error)) (int, error) {
	names := []string{f.name}
	step, rules, err := f.fs.count(OpWrite, names)
	if err == nil {
		err = failure(rules, OpWrite, names)
	}
	if err != nil {
		f.fs.note(step, err)
		return 0, &os.PathError{Op: "write", Path: f.name, Err: err}
	}
	fits, full := f.fs.room(step, rules, f.name, len(p))
	n := 0
	if fits > 0 || full == nil {
		n, err = store(p[:fits])
	}
	if err == nil && full != nil {
		err = &os.PathError{Op: "write", Path: f.name, Err: full}
	}
	return n, err
}

func (f *file) Readdir(count int) ([]fs.FileInfo, error) {
	if err := f.step(OpReaddir, "readdirent"); err != nil {
		return nil, err
	}
	return f.File.Readdir(count)
}

func (f *file) Readdirnames(n int) ([]string, error) {
	if err := f.step(OpReaddir, "readdirent"); err != nil {
		return nil, err
	}
	return f.File.Readdirnames(n)
}

func (f *file) Stat() (fs.FileInfo, error) {
	if err := f.step(OpStat, "stat"); err != nil {
		return nil, err
	}
	return f.File.Stat()
}

func (f *file) Sync() error {
	if err := f.step(OpSync, "sync"); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *file) Truncate(size int64) error {
	if err := f.step(OpTruncate, "truncate"); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Close closes the wrapped file even when it is made to fail, as the kernel
// does: the descriptor is gone whatever close(2) returns.
func (f *file) Close() error {
	fault := f.step(OpClose, "close")
	err := f.File.Close()
	f.fs.mu.Lock()
	f.fs.open = slices.DeleteFunc(f.fs.open, func(other *file) bool { return other == f })
	f.fs.mu.Unlock()
	if fault != nil {
		return fault
	}
	return err
}
