package fs

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// beginTree begins the tree called "tools", with one file of 4 bytes, which counts.
func beginTree(t *testing.T, d *Dir) (*Filling, Survey) {
	t.Helper()
	stamp, err := d.TreeSpot("tools").Create(0o666, nil)
	require.NoError(t, err)
	f, err := d.BeginTree("tools", stamp)
	require.NoError(t, err)
	gate := f.Gate(func(int64) error { return nil }, func(int64) bool { return false })
	require.NoError(t, afero.WriteFile(gate, "file", []byte("text"), 0o666))
	s, err := f.Survey(t.Context(), SyncFile)
	require.NoError(t, err)
	assert.Equal(t, int64(4), s.Bytes)
	return f, s
}

// landTree is beginTree to its end.
func landTree(t *testing.T, d *Dir) {
	t.Helper()
	f, s := beginTree(t, d)
	require.NoError(t, f.Land(Tree{Name: "tools", Bytes: s.Bytes, Files: s.Files, CRC32C: s.CRC32C}, SyncDir))
	d.Count(Change{Files: 1, Bytes: s.Bytes})
	require.NoError(t, f.Cancel())
}

func treesIn(t *testing.T, d *Dir) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(d.Path(treeDir))
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestATreeIsLeasedFromTheMomentItLands(t *testing.T) {
	if isWindows {
		t.Skip("a lock does not outlast the rename there")
	}
	d := countedDir(t, filepath.Join(t.TempDir(), "cache"))
	id := TreeID("tools")
	f, s := beginTree(t, d)
	_, _, err := d.StatTree(id)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, f.Land(Tree{Name: "tools", Bytes: s.Bytes}, SyncFile))
	require.ErrorIs(t, d.EvictTree(id), ErrLeased)
	file, tree, info, err := d.LeaseTree(t.Context(), id)
	require.NoError(t, err)
	assert.EqualValues(t, 4, info.Size)
	require.NoError(t, f.Cancel())
	require.ErrorIs(t, d.EvictTree(id), ErrLeased)
	require.FileExists(t, filepath.Join(d.TreePath(tree), "file"))
	require.NoError(t, file.Close())
	require.NoError(t, d.EvictTree(id))
	require.ErrorIs(t, d.EvictTree(id), os.ErrNotExist)
	assert.Empty(t, treesIn(t, d))
}

func TestAHalfTreeIsNone(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"folder is gone":  func(t *testing.T, path string) { require.NoError(t, os.RemoveAll(path)) },
		"folder is moved": func(t *testing.T, path string) { require.NoError(t, os.Rename(path, path+"-0123456789abcdef.gone")) },
		"folder is a file": func(t *testing.T, path string) {
			require.NoError(t, os.RemoveAll(path))
			require.NoError(t, os.WriteFile(path, nil, 0o666))
		},
		"stamp is torn": func(t *testing.T, path string) { require.NoError(t, os.Truncate(path+stampSuffix, 100)) },
		"stamp is zeroed": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path+stampSuffix, make([]byte, 300), 0o666))
		},
		"stamp is a folder": func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path+stampSuffix))
			require.NoError(t, os.Mkdir(path+stampSuffix, 0o777))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := countedDir(t, filepath.Join(t.TempDir(), "cache"))
			landTree(t, d)
			id := TreeID("tools")
			damage(t, d.Path(id))
			_, _, err := d.StatTree(id)
			require.ErrorIs(t, err, os.ErrNotExist)
			_, _, _, err = d.LeaseTree(t.Context(), id)
			require.Error(t, err)
			require.NoError(t, d.EachTree(t.Context(), func(string, Tree, Info) error {
				t.Error("it is listed")
				return nil
			}))
			require.NoError(t, d.Tidy(t.Context(), time.Now(), func(Leftover) {}))
			require.NoError(t, d.MendTrees(t.Context()))
			if name == "stamp is a folder" {
				return // whoever has made that removes it
			}
			assert.Empty(t, treesIn(t, d))
			landTree(t, d)
			_, _, err = d.StatTree(id)
			require.NoError(t, err)
		})
	}
}

func TestAStampThatCannotLandLeavesNothing(t *testing.T) {
	if isWindows {
		t.Skip("what is open is not removed there")
	}
	d := countedDir(t, filepath.Join(t.TempDir(), "cache"))
	f, s := beginTree(t, d)
	d.Count(Change{Reserved: s.Bytes})
	require.NoError(t, os.Remove(d.Path(TreeID("tools")+partialSuffix)))
	require.ErrorIs(t, f.Land(Tree{Name: "tools", Bytes: s.Bytes}, SyncFile), errRemoved)
	require.NoError(t, f.Cancel())
	d.Count(Change{Reserved: -s.Bytes})
	assert.Empty(t, treesIn(t, d))
	assert.Zero(t, d.Usage().All())
	landTree(t, d)
	assert.EqualValues(t, 4, d.Usage().All())
}

func TestOfTwoWhoMakeATreeOneWaits(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	a, b := countedDir(t, dir), countedDir(t, dir)
	f, _ := beginTree(t, a)
	_, err := b.TreeSpot("tools").Create(0o666, nil)
	require.ErrorIs(t, err, ErrHeld)
	require.NoError(t, b.Tidy(t.Context(), time.Now(), func(Leftover) {}))
	assert.Len(t, treesIn(t, a), 2, "what somebody is at work on is left alone")
	before := b.TreeSpot("tools").Pulse()
	require.NoError(t, f.Pulse([]byte("alive")))
	assert.NotEqual(t, before, b.TreeSpot("tools").Pulse())
	require.NoError(t, f.Cancel())
	assert.Empty(t, treesIn(t, a))
	landTree(t, b)
}

func TestLinksThatLeadOutThroughManyLinks(t *testing.T) {
	if isWindows {
		t.Skip("links need a privilege")
	}
	many := strings.Repeat("here/", 12)
	for target, refused := range map[string]bool{
		many + "..":               true,
		many + "../" + many:       true,
		many + "missing/../../..": true,
		many + "absolute":         true,
		many + "folder/..":        false,
		many + "missing":          false,
		"link":                    false, // to itself
	} {
		t.Run(target, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o777))
			require.NoError(t, os.Symlink(".", filepath.Join(dir, "here")))
			require.NoError(t, os.Symlink(target, filepath.Join(dir, "link")))
			if strings.HasSuffix(target, "absolute") {
				require.NoError(t, os.Symlink(os.TempDir(), filepath.Join(dir, "absolute")))
			}
			root, err := os.OpenRoot(dir)
			require.NoError(t, err)
			defer root.Close()
			s := surveyor{ctx: t.Context(), root: root, filled: true}
			err = s.link("link")
			if refused {
				require.ErrorContains(t, err, "leads out")
			} else {
				require.NoError(t, err)
			}
		})
	}
}

// What a killed process has left is taken off the count with each name of a file that
// has several, so that each has to be counted first.
func TestHardLinksOfOneWhoDiedCountAsOften(t *testing.T) {
	if isWindows {
		t.Skip("what is open is not removed there")
	}
	dir := filepath.Join(t.TempDir(), "cache")
	d, dead := countedDir(t, dir), countedDir(t, dir)
	d.Count(Change{Files: 1, Bytes: 1000})
	stamp, err := dead.TreeSpot("tools").Create(0o666, nil)
	require.NoError(t, err)
	f, err := dead.BeginTree("tools", stamp)
	require.NoError(t, err)
	reserved := int64(0)
	into := f.Gate(func(total int64) error {
		dead.Count(Change{Reserved: total - reserved})
		reserved = total
		return nil
	}, func(int64) bool { return false })
	require.NoError(t, afero.WriteFile(into, "file", make([]byte, 100), 0o666))
	for _, name := range []string{"a", "b", "c"} {
		require.NoError(t, into.(*gate).LinkIfPossible("file", name))
	}
	s, err := f.Survey(t.Context(), SyncNone)
	require.NoError(t, err)
	assert.Equal(t, reserved, s.Bytes)

	f.stamp.unlock() // as the kernel does when the process dies
	require.NoError(t, dead.counter.alive.Close())
	d.counter.swept = time.Time{}
	d.tidyFreeTree(path.Base(f.id))
	assert.EqualValues(t, 1000, d.Usage().All())
	assert.Empty(t, treesIn(t, d))
}
