package dlmanager

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/fs"
)

// crowdWatch looks at a directory while all who are at work in it are stopped, so
// that it sees one moment.
type crowdWatch struct {
	t          *testing.T
	dir        string
	limit      int64
	looks      int
	most, last float64
}

func newCrowdWatch(t *testing.T, dir string, limit int64) *crowdWatch {
	return &crowdWatch{t: t, dir: dir, limit: limit}
}

// pause returns false at the end.
func (w *crowdWatch) pause(ended <-chan struct{}) bool {
	select {
	case <-ended:
		return false
	case <-time.After(20 * time.Millisecond):
		return true
	}
}

func (w *crowdWatch) look(running []*process) {
	t := w.t
	var stopped []*process
	for _, p := range running {
		if p.Process.Signal(syscall.SIGSTOP) == nil {
			stopped = append(stopped, p)
		}
	}
	defer func() {
		for _, p := range stopped {
			_ = p.Process.Signal(syscall.SIGCONT)
		}
	}()
	for _, p := range stopped {
		require.Eventually(t, func() bool { return isStopped(p.Process.Pid) }, time.Minute, 50*time.Microsecond)
	}
	u, ok := fs.ReadUsage(w.dir)
	if !ok || !u.Known {
		return // nobody has begun
	}
	there := bytesIn(t, w.dir)
	w.looks++
	w.last = float64(there) / float64(w.limit)
	w.most = max(w.most, w.last)
	assert.LessOrEqual(t, u.All(), w.limit, "what is counted keeps the limit")
	assert.LessOrEqual(t, there, u.All(), "what is there is counted")
	require.LessOrEqual(t, there, w.limit)
}

// isStopped reports whether all threads of the process stand still, or it is over.
func isStopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has just ended
		}
		_, rest, _ := bytes.Cut(text, []byte(") "))
		if len(rest) > 0 && !bytes.ContainsAny(rest[:1], "TtZX") {
			return false
		}
	}
	return true
}

func TestManyProcessesKeepTheLimitTogether(t *testing.T) {
	t.Parallel() // it waits for other processes
	crowding{processes: 8, files: 400}.run(t)
}

func TestTheCountOutlivesKills(t *testing.T) {
	t.Parallel()
	crowding{processes: 4, files: 400, kills: 12}.run(t)
}
