package fs

import (
	"context"
	"errors"
	"os"
	"path"
	"strings"

	"github.com/spf13/afero"
)

// tidyTrees removes what killed processes left of trees, and trees that were
// replaced while somebody used them. Of what looks as it should, only names are read.
func (d *Dir) tidyTrees(ctx context.Context) error {
	if d.root == nil {
		return nil
	}
	seen := map[string]int{} // by key: bit by bit, what there is
	err := d.eachName(ctx, treeDir, func(base string) error {
		stem, suffix := base, path.Ext(base)
		stem = strings.TrimSuffix(stem, suffix)
		switch {
		case !isTreeFolder(stem):
		case suffix == "" && len(stem) == len(keyOf(stem)):
			seen[keyOf(stem)] |= 1
		case suffix == stampSuffix && len(stem) == len(keyOf(stem)):
			seen[keyOf(stem)] |= 2
		default:
			seen[keyOf(stem)] |= 4
		}
		return nil
	})
	for key, what := range seen {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if what != 1|2 {
			d.tidyFreeTree(key)
		}
	}
	return err
}

// MendTrees removes what looks like a tree and is none: its stamp is damaged, or the
// stamp's folder is. It reads all stamps.
func (d *Dir) MendTrees(ctx context.Context) error {
	if d.root == nil {
		return nil
	}
	ids, err := d.treeIDs(ctx)
	for _, id := range ids {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, _, err := d.StatTree(id); errors.Is(err, os.ErrNotExist) {
			d.tidyFreeTree(keyOf(path.Base(id)))
		}
	}
	return err
}

// tidyFreeTree is tidyTree unless somebody is at work on a tree with the key.
func (d *Dir) tidyFreeTree(key string) {
	p, err := Spot{fsys: d.fsys, dir: treeDir, stem: key, suspect: true}.Create(0o666, nil)
	if err != nil {
		return
	}
	if p.note != nil { // else nobody can tell whether somebody is
		d.tidyTree(key)
	}
	_ = p.Cancel() // nothing was written; who comes next removes it
}

// tidyTree removes all with the key that is no tree and no part of one, and trees
// that were replaced. The caller has the lock of the key's partial file, and nothing
// else under it.
func (d *Dir) tidyTree(key string) {
	d.Sweep() // what the dead have reserved is what they left
	used := map[string]bool{}
	names := d.treeNames(key)
	for _, base := range names {
		if stem, ok := strings.CutSuffix(base, stampSuffix); ok {
			folder, err := d.tidyStamp(treeDir+"/"+stem, stem != key)
			if err != nil {
				return // nobody can tell what is whose
			}
			used[folder] = true
		}
	}
	for _, base := range names {
		name, suffix := treeDir+"/"+base, path.Ext(base)
		stem := strings.TrimSuffix(base, suffix)
		apart := stem != key && stem != base
		switch {
		case suffix == goneSuffix:
			_ = removeAll(d.fsys, name) // who comes next tries again
		case suffix == fillingSuffix && (!apart || d.isFree(stem)):
			d.removeStray(base)
		case suffix == "" && isTreeFolder(base) && !used[base]:
			d.removeStray(base)
		case (suffix == partialSuffix || suffix == noteSuffix) && apart && d.isFree(stem):
			_ = ignoreNotExist(d.fsys.Remove(name))
		}
	}
}

// treeNames returns what lies in treeDir with the key.
func (d *Dir) treeNames(key string) (names []string) {
	_ = d.eachName(context.Background(), treeDir, func(base string) error {
		if strings.HasPrefix(base, key) && isTreeFolder(strings.TrimSuffix(base, path.Ext(base))) {
			names = append(names, base)
		}
		return nil
	})
	return names
}

// tidyStamp returns the folder of a tree that stays, and removes what is none, or was
// replaced: then it is "".
func (d *Dir) tidyStamp(id string, replaced bool) (folder string, err error) {
	t, _, err := d.StatTree(id)
	if err == nil && !replaced {
		return t.Folder, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	err = d.EvictTree(id)
	if errors.Is(err, ErrLeased) && t.Folder != "" {
		return t.Folder, nil
	}
	return "", ignoreNotExist(err)
}

// isFree reports whether nobody is at work on the partial file with the stem.
func (d *Dir) isFree(stem string) bool {
	p := &Partial{fsys: d.fsys, temp: treeDir + "/" + stem + partialSuffix}
	err := p.adopt(nil)
	p.unlock()
	return errors.Is(err, errForeign) || errors.Is(err, errLost)
}

// removeStray removes a folder that is no tree, and its bytes from the count.
func (d *Dir) removeStray(base string) {
	aside, err := d.moveAside(base)
	if err != nil {
		return // who comes next tries again
	}
	var bytes int64
	_ = afero.Walk(d.fsys, aside, func(_ string, fi os.FileInfo, _ error) error {
		if fi != nil && fi.Mode().IsRegular() {
			bytes += fi.Size()
		}
		return nil
	})
	if removeAll(d.fsys, aside) == nil && bytes > 0 {
		d.Count(Change{Bytes: -bytes})
	}
}
