package fs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestOnlyOfSomeFileSystemsIsItKnownThatClosingCannotFail(t *testing.T) {
	for _, kind := range []uint32{unix.TMPFS_MAGIC, unix.EXT2_SUPER_MAGIC, unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC} {
		assert.True(t, isSureType(kind), "%x", kind)
	}
	for _, kind := range []uint32{0, unix.NFS_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC} {
		assert.False(t, isSureType(kind), "%x", kind)
	}
}

func TestAPartialFileKnowsItsFileSystem(t *testing.T) {
	dir := t.TempDir()
	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &st))
	d := openDir(t, afero.NewOsFs(), dir)
	spot, err := d.Spot("file")
	require.NoError(t, err)
	p, err := spot.Create(0o666, nil)
	require.NoError(t, err)
	assert.Equal(t, isSureType(uint32(st.Type)), p.file.(*rawFile).sure)
	require.NoError(t, p.Cancel())
}

// A copy of a file that is closed cannot be made, so that one sees whether it was tried.
func TestWhatClosesSurelyIsNotClosedInCopy(t *testing.T) {
	f := rawFileAt(t, filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE)
	require.NoError(t, closeCopy(f))
	_, err := f.WriteAt([]byte("x"), 0)
	require.NoError(t, err, "the file stays open")
	require.NoError(t, f.Close())
	require.ErrorIs(t, closeCopy(f), os.ErrClosed)
	f.sure = true
	require.NoError(t, closeCopy(f))
}

func TestPartialFilesLandOnEitherKindOfFileSystem(t *testing.T) {
	for _, sure := range []bool{true, false} {
		dir := t.TempDir()
		d := openDir(t, afero.NewOsFs(), dir)
		spot, err := d.Spot("file")
		require.NoError(t, err)
		p, err := spot.Create(0o666, nil)
		require.NoError(t, err)
		p.file.(*rawFile).sure = sure
		_, err = p.WriteAt([]byte("content"), 0)
		require.NoError(t, err)
		require.NoError(t, p.Commit(SyncNone))
		text, err := os.ReadFile(filepath.Join(dir, "file"))
		require.NoError(t, err)
		assert.Equal(t, "content", string(text))
	}
}
