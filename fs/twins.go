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

	mu      sync.Mutex // guards folders
	folders map[string]map[uint64]struct{}
}

func newTwins(d *Dir) *twins {
	return &twins{dir: d, seed: maphash.MakeSeed(), folders: map[string]map[uint64]struct{}{}}
}

// Twin returns the name of a file that is there and that some file systems
// cannot tell from name.
func (d *Dir) Twin(ctx context.Context, name string) (twin string, found bool, err error) {
	paths := []string{"."}
	for part := range strings.SplitSeq(name, "/") {
		var next []string
		for _, folder := range paths {
			same, err := d.twins.lookup(ctx, folder, Fold(part))
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

// lookup returns the paths in the folder whose base names fold to folded.
func (t *twins) lookup(ctx context.Context, folder, folded string) ([]string, error) {
	known, err := t.known(ctx, folder)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	_, may := known[maphash.String(t.seed, folded)]
	t.mu.Unlock()
	if !may {
		return nil, nil
	}
	var same []string
	err = t.dir.eachName(ctx, folder, func(base string) error {
		if Fold(base) == folded {
			same = append(same, path.Join(folder, base))
		}
		return nil
	})
	return same, err
}

// known returns the set for the folder, listed now if it was not before.
func (t *twins) known(ctx context.Context, folder string) (map[uint64]struct{}, error) {
	t.mu.Lock()
	known, ok := t.folders[folder]
	t.mu.Unlock()
	if ok {
		return known, nil
	}
	known = map[uint64]struct{}{}
	err := t.dir.eachName(ctx, folder, func(base string) error {
		known[maphash.String(t.seed, Fold(base))] = struct{}{}
		return nil
	})
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if earlier, ok := t.folders[folder]; ok { // somebody listed it at the same time
		for h := range known {
			earlier[h] = struct{}{}
		}
		return earlier, nil
	}
	t.folders[folder] = known
	return known, nil
}

// add records that the name is there now.
func (t *twins) add(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ; name != "."; name = path.Dir(name) {
		if known, ok := t.folders[path.Dir(name)]; ok {
			known[maphash.String(t.seed, Fold(path.Base(name)))] = struct{}{}
		}
	}
}

// forget records that the name is gone. A twin of it, should there be one, is
// forgotten with it: that costs a warning, not a file.
func (t *twins) forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.folders[path.Dir(name)], maphash.String(t.seed, Fold(path.Base(name))))
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
