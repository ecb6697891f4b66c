package fs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/require"
)

func TestLinksOfARootStayInIt(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(outside, []byte("secret"), 0o600))
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	defer root.Close()
	fsys := NewRoot(root)
	links := fsys.(afero.Symlinker)

	require.NoError(t, afero.WriteFile(fsys, "file", []byte("inside"), 0o666))
	require.NoError(t, links.SymlinkIfPossible("file", "inner"))
	require.NoError(t, links.SymlinkIfPossible(outside, "outer"))
	require.NoError(t, fsys.(interface {
		LinkIfPossible(target, name string) error
	}).LinkIfPossible("file", "twin"))

	for _, name := range []string{"inner", "twin"} {
		content, err := afero.ReadFile(fsys, name)
		require.NoError(t, err, name)
		require.Equal(t, "inside", string(content), name)
	}
	target, err := links.ReadlinkIfPossible("outer")
	require.NoError(t, err)
	require.Equal(t, outside, target)
	_, err = fsys.Open("outer")
	require.Error(t, err)
	require.Error(t, fsys.(interface {
		LinkIfPossible(target, name string) error
	}).LinkIfPossible("../x", "y"))
}
