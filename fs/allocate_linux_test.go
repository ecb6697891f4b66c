package fs

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestAPartialFileIsExtendedWithBlocks(t *testing.T) {
	d, err := Open(afero.NewOsFs(), filepath.Join(t.TempDir(), "cache"), Options{})
	require.NoError(t, err)
	defer d.Close()
	spot, err := d.Spot("name")
	require.NoError(t, err)
	p, err := spot.Create(0o666, nil)
	require.NoError(t, err)
	defer p.Cancel()
	const size = 1 << 20
	require.NoError(t, p.Extend(size, true))
	fi, err := p.file.Stat()
	require.NoError(t, err)
	assert.EqualValues(t, size, fi.Size())

	var fsStat unix.Statfs_t
	require.NoError(t, unix.Statfs(d.Root(), &fsStat))
	blocks := fi.Sys().(*syscall.Stat_t).Blocks * 512
	switch int64(fsStat.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC:
		assert.GreaterOrEqual(t, blocks, int64(size))
	case unix.TMPFS_MAGIC:
		assert.Zero(t, blocks)
	}
	require.NoError(t, p.Clear())
	fi, err = p.file.Stat()
	require.NoError(t, err)
	assert.Zero(t, fi.Size())
}
