package fs

import (
	"context"
	"errors"
	"os"
	"path"
	"time"

	"github.com/spf13/afero"
)

// LeaseTree opens the tree with the ID: until the file is closed, EvictTree does not
// remove it, in no process. One that is not there (any more), or not whole, is
// os.ErrNotExist.
func (d *Dir) LeaseTree(ctx context.Context, id string) (afero.File, Tree, Info, error) {
	f, _, err := d.Lease(ctx, id+stampSuffix)
	if err != nil {
		return nil, Tree{}, Info{}, err
	}
	t, info, err := d.describeTree(id, f)
	if err != nil {
		_ = f.Close() // read-only: nothing to lose
		return nil, Tree{}, Info{}, err
	}
	return f, t, info, nil
}

// RenewTree notes that the tree is known to be current at now, which is its
// modification time from then on.
func (d *Dir) RenewTree(id string, now time.Time) error {
	return d.fsys.Chtimes(id+stampSuffix, now, now)
}

// EvictTree removes the tree with the ID, unless somebody has it open: then it is
// ErrLeased. Not being there is os.ErrNotExist.
//
// Who has the stamp's lock moves the folder aside, removes the stamp, and then
// deletes what was moved: so whoever finds the stamp finds all of the tree, and
// what a kill leaves is no entry.
func (d *Dir) EvictTree(id string) error {
	name := id + stampSuffix
	f, err := d.fsys.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return err
	}
	defer f.Close() // read-only; it ends the lock
	if err := lockUnleased(d.fsys, name, f); err != nil {
		return err
	}
	t, err := readStamp(id, f)
	if err != nil { // nobody can tell which folder it was; the sweep finds it
		return ignoreNotExist(Remove(d.fsys, name))
	}
	return d.removeTree(t, name)
}

// removeTree removes the tree and its stamp, whose lock the caller has.
func (d *Dir) removeTree(t Tree, stamp string) error {
	counted := d.leaving(t.Bytes)
	aside, err := d.moveAside(t.Folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		counted(false)
		if isInUse(err) || errors.Is(err, os.ErrPermission) && isWindows {
			return ErrLeased // a program in it runs, or a file is open
		}
		return err
	}
	err = removeStamp(d.fsys, stamp)
	if aside != "" {
		err = errors.Join(err, removeAll(d.fsys, aside))
	}
	counted(err == nil)
	return err
}

// removeStamp removes a stamp that nobody needs any more.
func removeStamp(fsys afero.Fs, name string) error { return ignoreNotExist(fsys.Remove(name)) }

// moveAside takes a folder in treeDir out of everybody's way, to be deleted.
func (d *Dir) moveAside(base string) (aside string, err error) {
	aside = treeDir + "/" + keyOf(base) + "-" + randomHex() + goneSuffix
	if err := d.fsys.Rename(treeDir+"/"+base, aside); err != nil {
		return "", err
	}
	return aside, nil
}

// retire makes way for another tree of the same name: the one that is there goes,
// or, if somebody has it open, gets an ID of its own, under which it goes when
// nobody uses it any more. Who calls it has the lock of the name's partial file.
func (d *Dir) retire(id string) (retired string, err error) {
	err = d.EvictTree(id)
	if errors.Is(err, ErrLeased) {
		retired = id + "-" + randomHex()
		err = d.fsys.Rename(id+stampSuffix, retired+stampSuffix)
	}
	if err != nil {
		return "", ignoreNotExist(err)
	}
	return retired, nil
}

// TreeSpot returns where the stamp of the tree called name is prepared. Who has its
// partial file is the one who fills the tree.
func (d *Dir) TreeSpot(name string) Spot {
	return Spot{fsys: d.fsys, dir: treeDir, stem: key(name), final: path.Clean(TreeID(name) + stampSuffix), home: d.path, suspect: true}
}
