package fs

import (
	"context"
	"hash/maphash"
	"path"
	"strings"
	"sync"
)

// twins finds names that a file system may take for another one: equal under
// [Fold], different to the letter. It lists a folder once, when a name in it is
// first asked for, and keeps 8 bytes a name; a name it may know is looked up in
// the folder itself. Files that other processes add later are not seen.
type twins struct {
	dir  *Dir
	seed maphash.Seed

	mu      sync.Mutex                // guards all below
	folders map[string]map[uint64]int // how many names of a folder have a hash
	// way is a folder whose own name and those of the folders on the way to it are known,
	// and are nobody else's: the next file is most often in it, too. "": there is none.
	way    string
	losses int // counts what was forgotten
}

func newTwins(d *Dir) *twins {
	return &twins{dir: d, seed: maphash.MakeSeed(), folders: map[string]map[uint64]int{}}
}

// Twin returns the name of a file that is there and that some file systems
// cannot tell from name.
func (d *Dir) Twin(ctx context.Context, name string) (twin string, found bool, err error) {
	if alone, err := d.twins.isAlone(ctx, name); alone || err != nil {
		return "", false, err
	}
	paths := []string{"."}
	for part := range strings.SplitSeq(name, "/") {
		var next []string
		for _, folder := range paths {
			same, err := d.twins.lookup(ctx, folder, part)
			if err != nil {
				return "", false, err
			}
			next = append(next, same...)
		}
		paths = next
	}
	for _, p := range paths {
		if p == name {
			continue
		}
		if _, err := d.Stat(p); err == nil {
			return p, true, nil
		}
	}
	return "", false, nil
}

// isAlone reports whether nothing that is there has a name or a folder that may be
// taken for that of name, which is the most usual. False: it may have.
func (t *twins) isAlone(ctx context.Context, name string) (bool, error) {
	folder, _ := cutBase(name)
	known, losses := t.isOnWay(folder)
	for end := 0; end < len(folder) && !known; end++ { // past a slash
		end += strings.IndexByte(name[end:], '/')
		if found, err := t.look(ctx, name[:end]); found != itself || err != nil {
			return found == nothing, err
		}
	}
	found, err := t.look(ctx, name)
	if !known && err == nil { // else the folder was not listed, and may be gone the next time
		t.setWay(folder, losses)
	}
	return found != others && err == nil, err
}

// isOnWay reports whether the folder is that of the last file. losses is what setWay
// wants to know.
func (t *twins) isOnWay(folder string) (known bool, losses int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return folder == t.way || folder == ".", t.losses
}

// setWay is told that the folder can be the way, if nothing was forgotten since.
func (t *twins) setWay(folder string, losses int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.losses == losses {
		t.way = folder
	}
}

// likeness is what is there of a name.
type likeness int

const (
	nothing likeness = iota // nor of one that may be taken for it
	itself                  // alone
	others                  // maybe
)

// look looks for one part of a path, of which those before it are there.
func (t *twins) look(ctx context.Context, name string) (likeness, error) {
	folder, base := cutBase(name)
	count, err := t.count(ctx, folder, Fold(base))
	switch {
	case err != nil || count == 0:
		return nothing, err
	case count > 1 || t.dir.caseless || !t.isThere(name):
		return others, nil
	}
	return itself, nil
}

// cutBase returns the folder of a clean name, "." for that of all, and what it is called
// there.
func cutBase(name string) (folder, base string) {
	slash := strings.LastIndexByte(name, '/')
	if slash < 0 {
		return ".", name
	}
	return name[:slash], name[slash+1:]
}

// lookup returns the paths in the folder whose base names fold as base does.
func (t *twins) lookup(ctx context.Context, folder, base string) ([]string, error) {
	folded := Fold(base)
	count, err := t.count(ctx, folder, folded)
	if err != nil || count == 0 {
		return nil, err
	}
	if exact := path.Join(folder, base); count == 1 && !t.dir.caseless && t.isThere(exact) {
		return []string{exact}, nil // the one there is: no need to list the folder
	}
	var same []string
	err = t.dir.eachName(ctx, folder, func(other string) error {
		if Fold(other) == folded {
			same = append(same, path.Join(folder, other))
		}
		return nil
	})
	return same, err
}

// isThere reports whether there is something of this very name. A folder that was
// listed under it is not looked at again.
func (t *twins) isThere(name string) bool {
	t.mu.Lock()
	_, listed := t.folders[name]
	t.mu.Unlock()
	if listed {
		return true
	}
	_, err := Lstat(t.dir.fsys, name)
	return err == nil
}

// count returns how many names in the folder fold to folded, as far as is known.
// The folder is listed if it was not before.
func (t *twins) count(ctx context.Context, folder, folded string) (int, error) {
	hash := maphash.String(t.seed, folded)
	t.mu.Lock()
	known, ok := t.folders[folder]
	count := known[hash]
	t.mu.Unlock()
	if ok {
		return count, nil
	}
	known = map[uint64]int{}
	err := t.dir.eachName(ctx, folder, func(base string) error {
		known[maphash.String(t.seed, Fold(base))]++
		return nil
	})
	if err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.folders[folder]; !ok { // else somebody listed it at the same time
		t.folders[folder] = known
	}
	return t.folders[folder][hash], nil
}

// add records that the name is there now, for the first time or again.
func (t *twins) add(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name != "." {
		folder, base := cutBase(name)
		if known, ok := t.folders[folder]; ok {
			hash := maphash.String(t.seed, Fold(base))
			known[hash] = max(known[hash], 1)
		}
		if folder == t.way {
			return
		}
		name = folder
	}
}

// forget records that the file or folder is gone.
func (t *twins) forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.way = ""
	t.losses++
	delete(t.folders, name)
	folder, base := cutBase(name)
	known := t.folders[folder]
	hash := maphash.String(t.seed, Fold(base))
	if known[hash] > 1 {
		known[hash]--
		return
	}
	delete(known, hash)
}

// Spelling returns how the file that answers to name is really called, where
// the file system does not tell case or Unicode form apart and the two differ.
func (d *Dir) Spelling(name string) (real string, differs bool) {
	if !d.caseless {
		return "", false
	}
	real, differs, err := d.Twin(context.Background(), name)
	return real, differs && err == nil
}
