package fs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/afero"
)

// gate is the file system through which a tree is filled. Nothing outside the tree
// can be reached through it, and what is written is accounted for first. Permissions
// beyond the usual nine bits are not given, and the owner keeps his, so that the
// cache can read and remove what is there.
type gate struct {
	rootFs
	grow func(total int64) error
	full func(total int64) bool

	mu    sync.Mutex // guards all below; held while grow is asked, so that nobody writes ahead
	total int64
	over  bool // nobody may write any more
	open  map[*gateFile]struct{}
}

var (
	_ afero.Fs        = (*gate)(nil)
	_ afero.Lstater   = (*gate)(nil)
	_ afero.Symlinker = (*gate)(nil)
)

func (g *gate) Name() string { return "tree" }

// inside is a name as os.Root has it: "/" is the root of the tree, which refuses
// what leads out of it.
func inside(name string) string {
	name = strings.TrimLeft(filepath.ToSlash(name), "/")
	if name == "" {
		return "."
	}
	return name
}

// allow fails once the tree is complete.
func (g *gate) allow() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return os.ErrClosed
	}
	return nil
}

// take accounts for so many bytes more.
func (g *gate) take(n int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return os.ErrClosed
	}
	if n <= 0 {
		return g.grow(g.total)
	}
	if err := g.grow(g.total + n); err != nil {
		return err
	}
	g.total += n
	return nil
}

// makeRoom reports whether the disk is not full any more.
func (g *gate) makeRoom() bool {
	g.mu.Lock()
	total := g.total
	g.mu.Unlock()
	return g.full(total)
}

// shut ends the writing, and closes what was left open: a program that somebody has
// open for writing cannot be executed.
func (g *gate) shut() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	g.over = true
	left := g.open
	g.open = map[*gateFile]struct{}{}
	g.mu.Unlock()
	var errs []error
	for f := range left {
		errs = append(errs, f.File.Close())
	}
	return errors.Join(errs...)
}

func (g *gate) Create(name string) (afero.File, error) {
	return g.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

func (g *gate) Open(name string) (afero.File, error) { return g.OpenFile(name, os.O_RDONLY, 0) }

func (g *gate) OpenFile(name string, flag int, perm os.FileMode) (afero.File, error) {
	if err := g.allow(); err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	f, err := g.rootFs.OpenFile(inside(name), flag, perm.Perm()|0o600)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	file := &gateFile{File: f, gate: g, size: fi.Size(), appends: flag&os.O_APPEND != 0}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return nil, errors.Join(os.ErrClosed, f.Close())
	}
	g.open[file] = struct{}{}
	return file, nil
}

func (g *gate) Mkdir(name string, perm os.FileMode) error {
	return g.change(func() error { return g.rootFs.Mkdir(inside(name), perm.Perm()|0o700) })
}

func (g *gate) MkdirAll(name string, perm os.FileMode) error {
	return g.change(func() error { return g.rootFs.MkdirAll(inside(name), perm.Perm()|0o700) })
}

func (g *gate) Remove(name string) error {
	return g.change(func() error { return g.rootFs.Remove(inside(name)) })
}

func (g *gate) RemoveAll(name string) error {
	return g.change(func() error { return g.rootFs.RemoveAll(inside(name)) })
}

func (g *gate) Rename(from, to string) error {
	return g.change(func() error { return g.rootFs.Rename(inside(from), inside(to)) })
}

func (g *gate) Stat(name string) (os.FileInfo, error) { return g.rootFs.Stat(inside(name)) }

func (g *gate) LstatIfPossible(name string) (os.FileInfo, bool, error) {
	return g.rootFs.LstatIfPossible(inside(name))
}

func (g *gate) Chmod(name string, mode os.FileMode) error {
	return g.change(func() error {
		fi, err := g.rootFs.Stat(inside(name))
		if err != nil {
			return err
		}
		perm := mode.Perm() | 0o600
		if fi.IsDir() {
			perm |= 0o100
		}
		return g.rootFs.Chmod(inside(name), perm)
	})
}

func (g *gate) Chtimes(name string, atime, mtime time.Time) error {
	return g.change(func() error { return g.rootFs.Chtimes(inside(name), atime, mtime) })
}

// Chown is refused: the cache's files are those of who fills it.
func (g *gate) Chown(name string, _, _ int) error {
	return &os.PathError{Op: "chown", Path: name, Err: errors.ErrUnsupported}
}

// SymlinkIfPossible makes a symbolic link. One that leads out of the tree is refused
// when the tree is complete.
func (g *gate) SymlinkIfPossible(target, name string) error {
	return g.change(func() error { return g.root.Symlink(filepath.FromSlash(target), filepath.FromSlash(inside(name))) })
}

func (g *gate) ReadlinkIfPossible(name string) (string, error) {
	return g.root.Readlink(filepath.FromSlash(inside(name)))
}

// LinkIfPossible makes name a hard link to the file called target in the tree. It
// counts as a file of its own, as it does for who goes along the tree to add it up.
func (g *gate) LinkIfPossible(target, name string) error {
	fi, _, err := g.rootFs.LstatIfPossible(inside(target))
	if err != nil {
		return err
	}
	if err := g.take(fi.Size()); err != nil {
		return &os.LinkError{Op: "link", Old: target, New: name, Err: err}
	}
	return g.root.Link(filepath.FromSlash(inside(target)), filepath.FromSlash(inside(name)))
}

// change does what changes the tree without making its files larger.
func (g *gate) change(do func() error) error {
	if err := g.take(0); err != nil {
		return err
	}
	return do()
}

// gateFile is an open file of the tree. What is written counts from where the file
// ended when this one was opened: who writes one file through two of them counts
// twice what they both add.
type gateFile struct {
	afero.File
	gate    *gate
	appends bool

	mu   sync.Mutex // guards all below
	at   int64      // where the next Write goes
	size int64      // of the file, as far as it is accounted for
}

// reach accounts for the file when it is written to up to end.
func (f *gateFile) reach(end int64) error {
	if err := f.gate.take(end - f.size); err != nil {
		return &os.PathError{Op: "write", Path: f.Name(), Err: err}
	}
	f.size = max(f.size, end)
	return nil
}

func (f *gateFile) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.appends {
		f.at = f.size
	}
	if err := f.reach(f.at + int64(len(b))); err != nil {
		return 0, err
	}
	n, err := f.again(b, func(b []byte, _ int) (int, error) { return f.File.Write(b) })
	f.at += int64(n)
	return n, err
}

// again writes b, and if the disk is full, what is missing of it once there is room.
func (f *gateFile) again(b []byte, write func(b []byte, done int) (int, error)) (int, error) {
	n, err := write(b, 0)
	if err == nil || !IsFull(err) || !f.gate.makeRoom() {
		return n, err
	}
	more, err := write(b[n:], n)
	return n + more, err
}

func (f *gateFile) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

func (f *gateFile) WriteAt(b []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.reach(off + int64(len(b))); err != nil {
		return 0, err
	}
	return f.again(b, func(b []byte, done int) (int, error) { return f.File.WriteAt(b, off+int64(done)) })
}

func (f *gateFile) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.reach(size); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *gateFile) Read(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.File.Read(b)
	f.at += int64(n)
	return n, err
}

func (f *gateFile) Seek(off int64, whence int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.File.Seek(off, whence)
	if err == nil {
		f.at = at
	}
	return at, err
}

func (f *gateFile) Close() error {
	f.gate.mu.Lock()
	_, mine := f.gate.open[f]
	delete(f.gate.open, f)
	f.gate.mu.Unlock()
	if !mine {
		return os.ErrClosed
	}
	return f.File.Close()
}

var _ io.WriterAt = (*gateFile)(nil)
