//go:build unix

package dlmanager

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAFrozenHolderIsNotWaitedForEver(t *testing.T) {
	t.Parallel() // it waits for a time-out
	gate := make(chan struct{})
	o := newMeteredOrigin(t, 2*mib, gate)
	dir := filepath.Join(t.TempDir(), "cache")
	holder := startProcess(t, dir, o.URL+"/file", "file")
	require.NotEmpty(t, holder.next("progress"))
	stop(t, holder)

	m := managerAt(t, dir, WithStallTimeout(100*time.Millisecond))
	d := m.Download(o.URL+"/file", "file", WithStallTimeout(5*time.Second)) // how long it waits for the holder
	require.Eventually(t, func() bool { return d.Progress().State == StateAwaiting }, time.Minute, time.Millisecond)
	close(gate)
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginFetched, d.Result().Origin)
	requireSame(t, 2*mib, d.Dest())

	require.NoError(t, holder.Process.Signal(syscall.SIGCONT))
	assert.NotContains(t, holder.end(), "error", "who wakes up does no harm")
	requireSame(t, 2*mib, d.Dest())
	requireNothingUnfinished(t, dir)
}

// stop stops the process and waits until all its threads stand still: the signal
// alone says nothing of when.
func stop(t *testing.T, p *process) {
	t.Helper()
	require.NoError(t, p.Process.Signal(syscall.SIGSTOP))
	var status syscall.WaitStatus
	_, err := syscall.Wait4(p.Process.Pid, &status, syscall.WUNTRACED, nil)
	require.NoError(t, err)
	require.True(t, status.Stopped())
}
