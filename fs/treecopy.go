package fs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
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
	temp, err := os.MkdirTemp(filepath.Dir(dst), "."+key(filepath.Base(dst))+"-*"+partialSuffix)
	if err != nil {
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
	if err := errors.Join(c.run(mode), to.Close()); err != nil {
		return err
	}
	if err := os.Chmod(temp, c.top); err != nil {
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

// isVacant fails if there is something at the path.
func isVacant(dst string) error {
	names, err := os.ReadDir(dst)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err == nil && len(names) == 0:
		return nil
	case err != nil:
		if _, gone := os.Lstat(dst); gone != nil {
			return err
		}
	}
	return &os.PathError{Op: "place directory", Path: dst, Err: errOccupied}
}

var errOccupied = fmt.Errorf("%w and is not an empty folder: remove it, or give another place", os.ErrExist)

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
	top      os.FileMode // permissions of the folder itself
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

func (c *treeCopier) copy(name string, fi os.FileInfo) error {
	switch {
	case fi.IsDir():
		c.folders = append(c.folders, folderTime{name, fi.ModTime()})
		if name == "." {
			c.top = fi.Mode().Perm()
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
