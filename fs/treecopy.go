package fs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// CopyTree copies the tree to the path dst, whole or not at all. There must be
// nothing, or an empty folder; else it is os.ErrExist.
func (d *Dir) CopyTree(ctx context.Context, t Tree, dst string, mode SyncMode) (err error) {
	if d.root == nil {
		return errors.ErrUnsupported
	}
	dst, err = filepath.Abs(dst)
	if err != nil {
		return err
	}
	if err := isVacant(dst); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o777); err != nil {
		return err
	}
	from, err := d.root.OpenRoot(filepath.FromSlash(treeDir + "/" + t.Folder))
	if err != nil {
		return err
	}
	defer from.Close() // read-only: nothing to lose
	top, err := from.Stat(".")
	if err != nil {
		return err
	}
	prefix := "." + key(filepath.Base(dst)) + "-"
	sweepCopies(filepath.Dir(dst), prefix)
	temp := filepath.Join(filepath.Dir(dst), prefix+randomHex()+partialSuffix)
	if err := os.Mkdir(temp, top.Mode().Perm()|0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	to, err := os.OpenRoot(temp)
	if err != nil {
		return err
	}
	c := treeCopier{ctx: ctx, from: from, to: to}
	if c.temp, err = to.Stat("."); err == nil {
		err = c.run(mode)
	}
	if err := errors.Join(err, to.Close()); err != nil {
		return err
	}
	if err := place(temp, dst); err != nil {
		return err
	}
	if mode == SyncDir {
		return syncFolder(filepath.Dir(dst))
	}
	return nil
}

// copyAge is how old a copy of a tree is that nobody can be making any more.
const copyAge = 24 * time.Hour

// sweepCopies removes what killed processes have left of copies: each may be as large as
// the tree.
func sweepCopies(dir, prefix string) {
	entries, _ := os.ReadDir(dir) // the next one tries again
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) || !strings.HasSuffix(e.Name(), partialSuffix) {
			continue
		}
		if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > copyAge {
			_ = os.RemoveAll(filepath.Join(dir, e.Name())) // the next one tries again
		}
	}
}

// isVacant fails if there is something at the path.
func isVacant(dst string) error {
	fi, err := os.Lstat(dst)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !fi.IsDir() || !isEmpty(dst):
		err = errOccupied
	case isWorkingDir(fi):
		err = errWorkedIn
	default:
		return nil
	}
	return &os.PathError{Op: "place directory", Path: dst, Err: err}
}

var (
	errOccupied = fmt.Errorf("%w and is not an empty folder: remove it, or give another place", os.ErrExist)
	errWorkedIn = fmt.Errorf("%w and is the working directory, which would be replaced: give another place", os.ErrExist)
)

func isEmpty(folder string) bool {
	names, err := os.ReadDir(folder)
	return err == nil && len(names) == 0
}

// isWorkingDir reports whether the folder is the one that this program, and as a rule
// the shell that has started it, works in: both would be left in one that is gone.
func isWorkingDir(fi os.FileInfo) bool {
	here, err := os.Stat(".")
	return err == nil && os.SameFile(fi, here)
}

// place renames the folder to dst, where an empty folder may be.
func place(temp, dst string) error {
	if fi, err := os.Lstat(dst); err == nil && fi.IsDir() {
		if err := os.Remove(dst); err != nil { // os.Rename replaces no folder
			return err
		}
	}
	err := retryBusy(func() error { return os.Rename(temp, dst) })
	if err != nil && isVacant(dst) != nil { // somebody was faster
		return isVacant(dst)
	}
	return err
}

func syncFolder(dir string) error {
	if isWindows { // which cannot flush a directory
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// treeCopier copies one folder into another.
type treeCopier struct {
	ctx      context.Context
	from, to *os.Root
	temp     os.FileInfo // the folder that is to
	folders  []folderTime
}

// folderTime is what a folder's modification time is to be once it is full.
type folderTime struct {
	name string
	at   time.Time
}

func (c *treeCopier) run(mode SyncMode) error {
	err := iofs.WalkDir(c.from.FS(), ".", func(name string, e iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		fi, err := c.from.Lstat(name)
		if err != nil {
			return err
		}
		return c.copy(name, fi)
	})
	if err == nil && mode != SyncNone {
		s := surveyor{ctx: c.ctx, root: c.to}
		if s.found, err = s.run(); err == nil {
			err = s.flush()
		}
	}
	if err != nil {
		return err
	}
	for i := len(c.folders) - 1; i >= 0; i-- {
		if err := c.to.Chtimes(c.folders[i].name, time.Time{}, c.folders[i].at); err != nil {
			return err
		}
	}
	return nil
}

var errWithin = errors.New("a directory cannot be copied into itself: give a place outside the cache")

func (c *treeCopier) copy(name string, fi os.FileInfo) error {
	switch {
	case os.SameFile(fi, c.temp):
		return errWithin
	case fi.IsDir():
		c.folders = append(c.folders, folderTime{name, fi.ModTime()})
		if name == "." {
			return nil
		}
		return c.to.Mkdir(name, fi.Mode().Perm()|0o700)
	case fi.Mode()&os.ModeSymlink != 0:
		target, err := c.from.Readlink(name)
		if err != nil {
			return err
		}
		return c.to.Symlink(target, name)
	}
	return c.copyFile(name, fi)
}

// copyFile copies a file; its blocks are shared where the file system can.
func (c *treeCopier) copyFile(name string, fi os.FileInfo) error {
	src, err := c.from.Open(name)
	if err != nil {
		return err
	}
	defer src.Close() // read-only: nothing to lose
	dst, err := c.to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fi.Mode().Perm()|0o200)
	if err != nil {
		return err
	}
	p := Partial{file: dst}
	if err := errors.Join(p.fill(c.ctx, src), dst.Close()); err != nil {
		return err
	}
	if fi.Mode().Perm()&0o111 != 0 {
		if f, err := c.to.Open(name); err == nil {
			awaitNoWriter(f)
			_ = f.Close() // read-only: nothing to lose
		}
	}
	return c.to.Chtimes(name, time.Time{}, fi.ModTime())
}
