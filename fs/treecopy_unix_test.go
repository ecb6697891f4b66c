//go:build unix

package fs

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestTheUmaskCountsForAllOfACopy(t *testing.T) {
	d := countedDir(t, filepath.Join(t.TempDir(), "cache"))
	landTree(t, d)
	tree, _, err := d.StatTree(TreeID("tools"))
	require.NoError(t, err)
	require.NoError(t, os.Chmod(d.TreePath(tree), 0o755))
	require.NoError(t, os.Chmod(filepath.Join(d.TreePath(tree), "file"), 0o644))
	dst := filepath.Join(t.TempDir(), "copy")
	old := unix.Umask(0o077)
	err = d.CopyTree(t.Context(), tree, dst, SyncFile)
	unix.Umask(old)
	require.NoError(t, err)
	for name, want := range map[string]os.FileMode{".": 0o700, "file": 0o600} {
		fi, err := os.Stat(filepath.Join(dst, name))
		require.NoError(t, err)
		assert.Equal(t, want, fi.Mode().Perm(), name)
	}
}

func TestACopyRemovesWhatKilledOnesHaveLeft(t *testing.T) {
	d := countedDir(t, filepath.Join(t.TempDir(), "cache"))
	landTree(t, d)
	tree, _, err := d.StatTree(TreeID("tools"))
	require.NoError(t, err)
	dir := t.TempDir()
	left, running := "."+key("copy")+"-1"+partialSuffix, "."+key("copy")+"-2"+partialSuffix
	other := "." + key("other") + "-1" + partialSuffix
	long := time.Now().Add(-2 * copyAge)
	for _, name := range []string{left, running, other} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, name, "bin"), 0o777))
		if name != running {
			require.NoError(t, os.Chtimes(filepath.Join(dir, name), long, long))
		}
	}
	require.NoError(t, d.CopyTree(t.Context(), tree, filepath.Join(dir, "copy"), SyncFile))
	require.NoDirExists(t, filepath.Join(dir, left))
	require.DirExists(t, filepath.Join(dir, running), "somebody may be at work on it")
	require.DirExists(t, filepath.Join(dir, other), "it is another's")
}
