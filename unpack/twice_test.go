package unpack

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/require"

	dlmfs "github.com/dlmanager/dlmanager/fs"
)

// folding is a file system that takes twins for one, as those of Windows and macOS do.
type folding struct {
	afero.Fs
	links afero.Symlinker
}

func (f folding) OpenFile(name string, flag int, perm os.FileMode) (afero.File, error) {
	return f.Fs.OpenFile(dlmfs.Fold(name), flag, perm)
}

func (f folding) Mkdir(name string, perm os.FileMode) error {
	return f.Fs.Mkdir(dlmfs.Fold(name), perm)
}
func (f folding) Remove(name string) error { return f.Fs.Remove(dlmfs.Fold(name)) }
func (f folding) Stat(name string) (os.FileInfo, error) {
	return f.Fs.Stat(dlmfs.Fold(name))
}

func (f folding) Chtimes(name string, atime, mtime time.Time) error {
	return f.Fs.Chtimes(dlmfs.Fold(name), atime, mtime)
}

func (f folding) LstatIfPossible(name string) (os.FileInfo, bool, error) {
	return f.links.LstatIfPossible(dlmfs.Fold(name))
}

func (f folding) SymlinkIfPossible(target, name string) error {
	return f.links.SymlinkIfPossible(target, dlmfs.Fold(name))
}

func (f folding) ReadlinkIfPossible(name string) (string, error) {
	return f.links.ReadlinkIfPossible(dlmfs.Fold(name))
}

func (p place) unpackFolding(t *testing.T, archive []byte) error {
	t.Helper()
	root, err := os.OpenRoot(p.inside)
	require.NoError(t, err)
	defer root.Close()
	into := dlmfs.NewRoot(root)
	err = Options{}.Extract(t.Context(), bytes.NewReader(archive), int64(len(archive)), "a", folding{into, into.(afero.Symlinker)})
	p.requireContained(t)
	return err
}

// Twins are two entries where the file system can tell them apart, and refused where it
// cannot: the sources of Linux have some.
func TestTwins(t *testing.T) {
	link := func(name, target string) item { return item{name: name, kind: tar.TypeSymlink, target: target} }
	for name, items := range map[string][]item{
		"file":                    {{name: "Makefile"}, {name: "makefile"}},
		"folder":                  {{name: "a/x"}, {name: "A/x"}},
		"folder, bare":            {{name: "a/"}, {name: "A/"}},
		"file and folder":         {{name: "a"}, {name: "A/"}},
		"sharp s":                 {{name: "straße"}, {name: "STRASSE"}},
		"composed and decomposed": {{name: "\u00e9"}, {name: "e\u0301"}},
		"link on a file":          {{name: "a"}, link("A", "x")},
		"file on a link":          {link("a", "x"), {name: "A"}},
		"link on a link":          {link("a", "x"), link("A", "y")},
		"third on a link":         {link("a/b", "x"), {name: "a/c"}, link("a/B", "y")},
		"through a link":          {link("link", "x"), {name: "LINK/evil"}},
		"through one in another form: CVE-2021-37712": {link("caf\u00e9", "x"), {name: "cafe\u0301/evil"}},
	} {
		for format, archive := range map[string][]byte{"tar": tarOf(t, items...), "zip": zipOf(t, items...)} {
			t.Run(format+" "+name, func(t *testing.T) {
				err := newPlace(t).unpackFolding(t, archive)
				require.ErrorIs(t, err, ErrRefused)
				require.ErrorContains(t, err, "cannot tell it from")

				if runtime.GOOS != "linux" {
					return
				}
				p := newPlace(t)
				require.NoError(t, p.unpack(t, Options{}, "a", archive))
				tree := p.tree(t)
				for _, it := range items {
					require.Contains(t, tree, it.name)
					if it.target != "" {
						require.Equal(t, "-> "+it.target, tree[it.name])
					}
				}
			})
		}
	}
}

func TestTwinsAreFew(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the file system may not tell them apart")
	}
	var items []item
	for i := range maxTwins + 1 {
		name := []byte("abcdef")
		for bit := range name {
			if i>>bit&1 == 1 {
				name[bit] -= 'a' - 'A'
			}
		}
		items = append(items, item{name: string(name)})
	}
	require.NoError(t, newPlace(t).unpack(t, Options{}, "a", tarOf(t, items[:maxTwins]...)))
	err := newPlace(t).unpack(t, Options{}, "a", tarOf(t, items...))
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, quoted(items[maxTwins].name))
}

// tar appends what has changed, and the last one counts. In a zip archive it depends on
// who reads it.
func TestTheLastOfATarArchiveCounts(t *testing.T) {
	link := func(name, target string) item { return item{name: name, kind: tar.TypeSymlink, target: target} }
	hard := func(name, target string) item { return item{name: name, kind: tar.TypeLink, target: target} }
	for name, c := range map[string]struct {
		items []item
		want  map[string]string
	}{
		"file":                {[]item{{name: "a", content: "old, and longer"}, {name: "./a", content: "new"}}, map[string]string{"a": "new"}},
		"file, three times":   {[]item{{name: "a", content: "1"}, {name: "a", content: "2"}, {name: "a", content: "3"}}, map[string]string{"a": "3"}},
		"link":                {[]item{link("a", "old"), link("a", "new")}, map[string]string{"a": "-> new"}},
		"link on a file":      {[]item{{name: "a"}, link("a", "new")}, map[string]string{"a": "-> new"}},
		"file on a link":      {[]item{link("a", "old"), {name: "a", content: "new"}}, map[string]string{"a": "new"}},
		"link, file and link": {[]item{link("a", "old"), {name: "a"}, link("a", "new")}, map[string]string{"a": "-> new"}},
		"hard link":           {[]item{{name: "a", content: "x"}, hard("b", "a"), {name: "a", content: "y"}, hard("b", "a")}, map[string]string{"a": "y", "b": "y"}},
		"file on a hard link": {[]item{{name: "a", content: "x"}, hard("b", "a"), {name: "b", content: "y"}}, map[string]string{"a": "x", "b": "y"}},
		"what led out":        {[]item{link("a", "b"), link("b", "../canary"), link("b", "c")}, map[string]string{"a": "-> b", "b": "-> c"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			require.NoError(t, p.unpack(t, Options{}, "a", tarOf(t, c.items...)))
			require.Equal(t, c.want, p.tree(t))
		})
	}
	require.ErrorIs(t, newPlace(t).unpack(t, Options{}, "a", zipOf(t, item{name: "a"}, item{name: "a"})), ErrRefused)
	require.ErrorIs(t, newPlace(t).unpack(t, Options{}, "a", zipOf(t, item{name: "a/b"}, item{name: "./a//b"})), ErrRefused)
}

// A few kilobytes of links through links with long targets would take hours if each was
// followed through all others.
func TestLinksAreFollowedOnce(t *testing.T) {
	p := newPlace(t)
	root, err := os.OpenRoot(p.inside)
	require.NoError(t, err)
	defer root.Close()
	tree := newTree(dlmfs.NewRoot(root), newLimits(Options{}, 0))
	long := strings.Repeat("/"+strings.Repeat("é", 100), 4)
	for i := range maxHops - 1 {
		name := fmt.Sprintf("l%d", i)
		require.NoError(t, tree.addSymlink(name, name, fmt.Sprintf("l%d%s", i+1, long)))
	}
	for i := range 5000 {
		name := fmt.Sprintf("k%d", i)
		require.NoError(t, tree.addSymlink(name, name, "l0"))
	}
	looks := testing.AllocsPerRun(1, func() {
		for _, n := range tree.links {
			n.link.state = notYet
		}
		for _, n := range tree.links {
			require.NoError(t, tree.follow(n, 1))
		}
	})
	require.Less(t, looks, 50_000.0, "a part of a name in another form than ASCII costs some")
	for i, n := range tree.links[:3] {
		require.Equal(t, maxHops-1-i, n.link.hops)
	}

	require.NoError(t, tree.addSymlink("one", "one", "k0"))
	require.ErrorIs(t, tree.follow(tree.links[len(tree.links)-1], 1), errTooManyLinks)
}
