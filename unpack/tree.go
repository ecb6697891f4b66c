package unpack

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
)

// tree is what the extraction has made so far. The folder was empty, so it also is what
// is on the disk, but for the symbolic links, which are made last: until then no path
// leads through one.
type tree struct {
	into     afero.Fs
	limits   *limits
	replaces bool // whether a later entry takes the place of one with the same name
	top      *node
	nodes    map[seat]*node // the last of those that may be taken for each other
	links    []*node        // in the archive's order
	dir      string         // of the last entry
	dirNode  *node
}

// seat is a name in a folder, by fs.Fold: twins meet.
type seat struct {
	in   *node
	name string
}

type node struct {
	kind  kind
	in    *node  // the folder it is in; nil: it is the top
	path  string // clean, as the first entry spells it
	entry string // as the archive has it
	twin  *node  // one more in this seat
	link  *link  // of what is, or was, a symbolic link
}

// maxTwins is how many names may differ in case or in form only: there are two of
// some in the sources of Linux, and each costs a look.
const maxTwins = 8

func newTree(into afero.Fs, l *limits) *tree {
	top := &node{kind: folder, path: "."}
	return &tree{into: into, limits: l, top: top, nodes: map[seat]*node{}, dir: ".", dirNode: top}
}

// addFolder makes a folder, unless it is there.
func (t *tree) addFolder(name, entry string) error {
	in, err := t.makeFolders(path.Dir(name), entry)
	if err != nil {
		return err
	}
	if old, _ := t.find(in, path.Base(name)); old != nil && old.kind == folder {
		return nil
	}
	return t.makeFolder(&node{kind: folder, in: in, path: name, entry: entry})
}

// addFile takes the name for a regular file, which the caller makes.
func (t *tree) addFile(name, entry string) error {
	in, err := t.makeFolders(path.Dir(name), entry)
	if err != nil {
		return err
	}
	return t.claim(&node{kind: regular, in: in, path: name, entry: entry})
}

// addSymlink takes the name for a link that makeLinks makes.
func (t *tree) addSymlink(name, entry, target string) error {
	if err := checkTarget(target); err != nil {
		return refuse(entry, "its target "+quoted(target)+" "+err.Error())
	}
	in, err := t.makeFolders(path.Dir(name), entry)
	if err != nil {
		return err
	}
	n := &node{kind: symlink, in: in, path: name, entry: entry, link: &link{target: target}}
	if err := t.claim(n); err != nil {
		return err
	}
	t.links = append(t.links, n)
	return nil
}

// find returns what has the name in a folder, or else what may be taken for it.
func (t *tree) find(in *node, name string) (found, twin *node) {
	twin = t.nodes[seat{in, fs.Fold(name)}]
	for n := twin; n != nil; n = n.twin {
		if path.Base(n.path) == name {
			return n, nil
		}
	}
	return nil, twin
}

// walk returns what has the path, nil if nothing has.
func (t *tree) walk(name string) *node {
	at := t.top
	for part := range strings.SplitSeq(name, "/") {
		if at, _ = t.find(at, part); at == nil {
			return nil
		}
	}
	return at
}

// claim takes a name.
func (t *tree) claim(n *node) error {
	key := seat{n.in, fs.Fold(path.Base(n.path))}
	old, twin := t.find(n.in, path.Base(n.path))
	if old != nil {
		if err := t.replace(old, n); err != nil {
			return err
		}
		n.twin = t.drop(key, old)
	} else if twin != nil {
		if err := t.tellApart(n, twin); err != nil {
			return err
		}
		n.twin = twin
	}
	t.nodes[key] = n
	return nil
}

// replace makes room for an entry that has the name of an earlier one, as tar does: the
// file is another, also if it was linked.
func (t *tree) replace(old, n *node) error {
	if !t.replaces || old.kind == folder || n.kind == folder {
		return refuse(n.entry, "it is in the archive already, as "+old.what())
	}
	if old.kind == regular {
		if err := t.into.Remove(old.path); err != nil {
			return writeError(n.entry, err)
		}
	}
	old.kind = replaced
	return nil
}

// drop takes a node out of its seat, and returns what is left there.
func (t *tree) drop(key seat, gone *node) *node {
	first := t.nodes[key]
	if first == gone {
		return gone.twin
	}
	for n := first; n != nil; n = n.twin {
		if n.twin == gone {
			n.twin = gone.twin
		}
	}
	return first
}

// tellApart refuses a name that the file system takes for one that is taken: a look at
// it tells. Empty files stand for links, which are not there yet.
func (t *tree) tellApart(n, twins *node) (err error) {
	count := 0
	for old := twins; old != nil; old = old.twin {
		if count++; count == maxTwins {
			return refuse(n.entry, fmt.Sprintf("there are %d already that differ in case only, such as %s", count, quoted(old.entry)))
		}
		if old.kind != symlink {
			continue
		}
		f, err := t.into.OpenFile(old.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return writeError(old.entry, err)
		}
		defer func() {
			if removed := errors.Join(f.Close(), t.into.Remove(old.path)); err == nil && removed != nil {
				err = writeError(old.entry, removed)
			}
		}()
	}
	_, err = fs.Lstat(t.into, n.path)
	switch {
	case err == nil:
		return refuse(n.entry, fmt.Sprintf("the file system cannot tell it from %s, which is in the archive already", quoted(twins.entry)))
	case !errors.Is(err, os.ErrNotExist):
		return writeError(n.entry, err)
	}
	return nil
}

// makeFolders returns the folder that an entry lies in, and makes it and those above it
// as far as they are not there.
func (t *tree) makeFolders(dir, entry string) (*node, error) {
	if dir == t.dir {
		return t.dirNode, nil
	}
	in := t.top
	for end := 0; dir != "." && end < len(dir); end++ {
		from := end
		for end < len(dir) && dir[end] != '/' {
			end++
		}
		next, _ := t.find(in, dir[from:end])
		if next == nil {
			if err := t.limits.addEntry(entry, ""); err != nil {
				return nil, err
			}
			next = &node{kind: folder, in: in, path: dir[:end], entry: entry}
			if err := t.makeFolder(next); err != nil {
				return nil, err
			}
		}
		if next.kind != folder {
			return nil, refuse(entry, fmt.Sprintf("it would go through %s, which is %s", quoted(next.entry), next.what()))
		}
		in = next
	}
	t.dir, t.dirNode = dir, in
	return in, nil
}

func (t *tree) makeFolder(n *node) error {
	if err := t.claim(n); err != nil {
		return err
	}
	return t.mkdir(n.path, n.entry)
}

func (t *tree) mkdir(name, entry string) error {
	if err := t.into.Mkdir(name, 0o777); err != nil {
		return writeError(entry, err)
	}
	return nil
}

func (n *node) what() string {
	switch n.kind {
	case folder:
		return "a folder"
	case symlink:
		return "a symbolic link"
	}
	return "a file"
}

// linker is a file system that has hard links.
type linker interface {
	LinkIfPossible(target, name string) error
}

// addHardlink makes one more name for a file that the archive has brought: a link, or
// a copy where there are none.
func (x *extraction) addHardlink(name string, e entry) error {
	target, err := cleanPath(e.target)
	if err != nil {
		return refuse(e.name, "it is a link to "+quoted(e.target)+": "+err.Error())
	}
	target = strip(target, x.strip)
	if known := x.tree.walk(target); known == nil || known.kind != regular || target == name {
		return refuse(e.name, "it is a hard link to "+quoted(e.target)+", which is no file that came before it")
	}
	if err := x.tree.addFile(name, e.name); err != nil {
		return err
	}
	if l, ok := x.tree.into.(linker); ok && l.LinkIfPossible(target, name) == nil {
		return nil
	}
	return x.copyFile(target, name, e)
}

// copyFile copies a file of the tree, with its mode.
func (x *extraction) copyFile(from, to string, e entry) error {
	src, err := x.tree.into.Open(from)
	if err != nil {
		return writeError(e.name, err)
	}
	defer src.Close() // read only
	info, err := src.Stat()
	if err != nil {
		return writeError(e.name, err)
	}
	e.size = -1 // so that the bytes of the copy count
	return x.writeFile(to, e, src, func([]byte) os.FileMode { return info.Mode().Perm() })
}
