package unpack

import (
	"fmt"
	"os"
	"path"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
)

// tree is what the extraction has made so far. The folder was empty, so it also is what
// is on the disk, but for the symbolic links, which are made last: until then no path
// leads through one.
type tree struct {
	into   afero.Fs
	limits *limits
	nodes  map[string]*node // by fs.Fold of the path: twins meet
	links  []*node          // in the archive's order
}

type node struct {
	kind   kind
	path   string // clean, as the first entry spells it
	entry  string // as the archive has it
	target string // of a symbolic link
}

func newTree(into afero.Fs, l *limits) *tree {
	return &tree{into: into, limits: l, nodes: map[string]*node{}}
}

// addFolder makes a folder, unless it is there.
func (t *tree) addFolder(name, entry string) error {
	key := fs.Fold(name)
	if old := t.nodes[key]; old != nil && old.kind == folder && old.path == name {
		return nil
	}
	if err := t.claim(key, &node{kind: folder, path: name, entry: entry}); err != nil {
		return err
	}
	return t.mkdir(name, entry)
}

// addFile takes the name for a regular file, which the caller makes.
func (t *tree) addFile(name, entry string) error {
	return t.claim(fs.Fold(name), &node{kind: regular, path: name, entry: entry})
}

// addSymlink takes the name for a link that makeLinks makes.
func (t *tree) addSymlink(name, entry, target string) error {
	if err := checkTarget(target); err != nil {
		return refuse(entry, "its target "+quoted(target)+" "+err.Error())
	}
	link := &node{kind: symlink, path: name, entry: entry, target: target}
	if err := t.claim(fs.Fold(name), link); err != nil {
		return err
	}
	t.links = append(t.links, link)
	return nil
}

// claim takes a name, and makes the folders that it lies in.
func (t *tree) claim(key string, n *node) error {
	if err := t.makeFolders(path.Dir(key), path.Dir(n.path), n.entry); err != nil {
		return err
	}
	if old := t.nodes[key]; old != nil {
		if old.path != n.path {
			return refuseTwin(n.entry, old)
		}
		return refuse(n.entry, "it is in the archive already, as "+old.what())
	}
	t.nodes[key] = n
	return nil
}

// makeFolders makes a folder that an entry lies in, and those above it, as far as they
// are not there. key is the folded path, in which the slashes are as many.
func (t *tree) makeFolders(key, dir, entry string) error {
	if dir == "." {
		return nil
	}
	switch up := t.nodes[key]; {
	case up == nil:
		if err := t.makeFolders(path.Dir(key), path.Dir(dir), entry); err != nil {
			return err
		}
		if err := t.limits.addEntry(entry, ""); err != nil {
			return err
		}
		t.nodes[key] = &node{kind: folder, path: dir, entry: entry}
		return t.mkdir(dir, entry)
	case up.path != dir:
		return refuseTwin(entry, up)
	case up.kind != folder:
		return refuse(entry, fmt.Sprintf("it would go through %s, which is %s", quoted(up.entry), up.what()))
	}
	return nil // and so is all above it
}

func (t *tree) mkdir(name, entry string) error {
	if err := t.into.Mkdir(name, 0o777); err != nil {
		return writeError(entry, err)
	}
	return nil
}

func refuseTwin(entry string, old *node) error {
	return refuse(entry, fmt.Sprintf("some file systems cannot tell it from %s, which is in the archive already", quoted(old.entry)))
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
	known := x.tree.nodes[fs.Fold(target)]
	if known == nil || known.path != target || known.kind != regular {
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
