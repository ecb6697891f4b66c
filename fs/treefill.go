package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/afero"
)

// Filling is a tree that is being made. Use it as
//
//	p, err := d.TreeSpot(name).Create(0o666, nil)
//	f, err := d.BeginTree(name, p)
//	defer f.Cancel()
//	… f.Gate(…) is filled …
//	s, err := f.Survey(ctx, mode)
//	err = f.Land(tree, mode)
//
// It has the partial file of the stamp, and with its lock the right to fill.
type Filling struct {
	d       *Dir
	id      string
	stamp   *Partial
	folder  string // where it is filled
	root    *os.Root
	gate    *gate // nil: nobody has asked for it
	bytes   int64 // that Survey found
	ending  bool  // the stamp was committed: the lock is gone, whatever came of that
	landed  bool
	retired string
}

// ID returns the tree's, and that of the tree which it has replaced and which
// somebody still has open; "" if there is none.
func (f *Filling) ID() (id, retired string) { return f.id, f.retired }

// Pulse notes a sign of life, for those who wait for the tree.
func (f *Filling) Pulse(text []byte) error { return f.stamp.Note(text) }

// BeginTree makes the empty folder that is going to be the tree called name. Where
// the file system is not the operating system's, it is errors.ErrUnsupported.
func (d *Dir) BeginTree(name string, stamp *Partial) (*Filling, error) {
	if d.root == nil {
		return nil, errors.Join(fmt.Errorf("fill a directory: only on the operating system's file system: %w", errors.ErrUnsupported), stamp.Cancel())
	}
	f := &Filling{d: d, id: TreeID(name), stamp: stamp, folder: strings.TrimSuffix(stamp.temp, partialSuffix) + fillingSuffix}
	if !f.isApart() {
		d.tidyTree(path.Base(f.id))
		d.removeStray(path.Base(f.folder)) // what a killed process left, should the tidying not have come to that
	}
	err := d.fsys.Mkdir(f.folder, 0o777)
	if err == nil {
		f.root, err = d.root.OpenRoot(filepath.FromSlash(f.folder))
	}
	if err != nil {
		return nil, errors.Join(err, f.Cancel())
	}
	return f, nil
}

// isApart reports whether somebody else, who is frozen, has the lock of the name.
func (f *Filling) isApart() bool { return f.stamp.note == nil }

// Gate returns the file system to fill the tree through, rooted in its folder. grow
// is asked before the files get larger, with how many bytes they have in all then;
// if it fails, the write does. full is asked for room on the disk, which has none, and
// says whether to try again.
func (f *Filling) Gate(grow func(total int64) error, full func(total int64) bool) afero.Fs {
	f.gate = &gate{rootFs: rootFs{root: f.root}, grow: grow, full: full, open: map[*gateFile]struct{}{}}
	return f.gate
}

// Survey looks at all that is in the folder, when nobody writes to it any more: it
// adds it up, flushes it as mode says, and refuses what leads out.
func (f *Filling) Survey(ctx context.Context, mode SyncMode) (Survey, error) {
	if err := f.gate.shut(); err != nil {
		return Survey{}, err
	}
	s := surveyor{ctx: ctx, root: f.root, filled: true}
	found, err := s.run()
	f.bytes = found.Bytes
	if err == nil && mode != SyncNone {
		err = s.flush()
	}
	return found, err
}

// Land gives the tree its place, whole, and then its stamp. From then on it is
// leased, until Cancel, where the operating system allows that.
func (f *Filling) Land(t Tree, mode SyncMode) error {
	if err := f.root.Close(); err != nil { // Windows does not rename what is open
		return err
	}
	f.root = nil
	retired, err := f.d.retire(f.id)
	if err != nil {
		return err
	}
	f.retired = retired
	t.Folder, err = f.place()
	if err != nil {
		return err
	}
	if mode == SyncNone {
		if err := f.d.NoteUnsynced(); err != nil {
			return err
		}
	}
	t.Unsynced = f.d.State(mode)
	text, err := t.encode()
	if err == nil {
		_, err = f.stamp.WriteAt(text, 0)
	}
	if err == nil && mode != SyncNone {
		err = syncDir(f.d.fsys, treeDir) // the folder's name, before that of the stamp
	}
	if err == nil {
		f.ending = true
		f.stamp.LeaseOnCommit()
		err = f.stamp.Commit(mode)
	}
	f.landed = err == nil
	if err == nil && mode == SyncDir {
		err = f.stamp.SyncName()
	}
	return err
}

// place renames the folder to where it stays: under the entry's own name, so that a
// tree that comes back is where it was, unless another one that is still in use
// lies there.
func (f *Filling) place() (base string, err error) {
	base = path.Base(f.id)
	if _, err := Lstat(f.d.fsys, f.id); !errors.Is(err, os.ErrNotExist) || f.isApart() {
		base += "-" + randomHex()
	}
	to := treeDir + "/" + base
	if err := retryBusy(func() error { return f.d.fsys.Rename(f.folder, to) }); err != nil {
		return "", err
	}
	f.folder = to
	return base, nil
}

// Cancel ends the work. It removes what there is, unless it has landed.
func (f *Filling) Cancel() error {
	var errs []error
	if f.gate != nil {
		errs = append(errs, f.gate.shut())
	}
	if f.root != nil {
		errs = append(errs, f.root.Close())
		f.root = nil
	}
	switch {
	case f.landed:
		f.stamp.unlock()
	case f.ending: // the lock may be another's by now, and the folder's name
		f.d.Count(Change{Bytes: f.bytes})
		f.d.tidyFreeTree(path.Base(f.id))
	default:
		errs = append(errs, ignoreNotExist(removeAll(f.d.fsys, f.folder)), f.stamp.Cancel())
	}
	return errors.Join(errs...)
}
