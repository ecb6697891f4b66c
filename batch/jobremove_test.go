package batch_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/batch"
)

func TestRemoveJobRemovesADamagedOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "job")
	require.NoError(t, batch.RemoveJob(dir), "there is none")
	job, err := batch.OpenJob(dir)
	require.NoError(t, err)
	require.ErrorIs(t, batch.RemoveJob(dir), batch.ErrInUse)
	require.NoError(t, job.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "log"), []byte("no log at all"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "log.new"), nil, 0o600))
	_, err = batch.OpenJob(dir)
	require.ErrorIs(t, err, batch.ErrDamaged)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "log.new"), nil, 0o600))
	require.NoError(t, batch.RemoveJob(dir))
	require.NoDirExists(t, dir)

	other := t.TempDir()
	file := filepath.Join(other, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.ErrorIs(t, batch.RemoveJob(other), batch.ErrNotJob)
	require.FileExists(t, file)
}
