//go:build unix

package fs

import (
	"os"
	"path/filepath"
	"testing"

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
