package fs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/require"
)

// locksWriters locks only what is open for writing, as NFS does.
type locksWriters struct{ afero.Fs }

func (f locksWriters) OpenFile(name string, flag int, perm os.FileMode) (afero.File, error) {
	file, err := f.Fs.OpenFile(name, flag, perm)
	if err != nil || flag&(os.O_WRONLY|os.O_RDWR) != 0 {
		return file, err
	}
	return struct{ afero.File }{file}, nil
}

func TestWhatNobodyCanTakeOverIsNotKept(t *testing.T) {
	for fsys, kept := range map[afero.Fs]bool{afero.NewOsFs(): true, locksWriters{afero.NewOsFs()}: false} {
		dir := t.TempDir()
		spot, err := SiblingSpot(fsys, filepath.Join(dir, "file"))
		require.NoError(t, err)
		p, err := spot.Create(0o666, nil)
		require.NoError(t, err)
		_, err = p.WriteAt([]byte("half"), 0)
		require.NoError(t, err)
		require.NoError(t, p.Note([]byte("note")))
		require.NoError(t, p.Keep())
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Equal(t, kept, len(left) > 0)
	}
}
