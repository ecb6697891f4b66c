//go:build soak && unix

package dlmanager

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAFrozenFillerIsNotWaitedForEver(t *testing.T) {
	t.Parallel() // it waits for a time-out
	o, _ := newToolOrigin(t)
	dir := filepath.Join(t.TempDir(), "cache")
	filler := prepareProcess(t, "stuck", dir, o.URL+"/archive")
	in, err := filler.StdinPipe()
	require.NoError(t, err)
	filler.start(t)
	require.Equal(t, "", filler.next("filling"))
	stop(t, filler)

	m := managerAt(t, dir, WithStallTimeout(100*time.Millisecond))
	d, err := m.GetDir(t.Context(), o.URL+"/archive", "tools", spread)
	require.NoError(t, err)
	require.NoError(t, runTools(d))

	require.NoError(t, filler.Process.Signal(syscall.SIGCONT))
	require.NoError(t, in.Close())
	assert.Equal(t, "stuck", filler.end(), "who wakes up does no harm")
	require.NoError(t, runTools(d), "what is in use stays where it is")
	now, err := m.GetDir(t.Context(), o.URL+"/archive", "tools", spread)
	require.NoError(t, err)
	assert.NotEqual(t, d.Path(), now.Path())
	require.FileExists(t, filepath.Join(now.Path(), "other half"), "who lands last has the name")
	require.NoError(t, d.Close())
	require.NoError(t, now.Close())
	require.NoError(t, m.Close())
	requireSwept(t, dir)
}
