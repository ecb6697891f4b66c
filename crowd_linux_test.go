package dlmanager

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/fs"
)

// crowding is a test of several processes that fill one directory far beyond its
// limit.
type crowding struct {
	processes, files int
	kills            int // processes that are killed, and replaced
	// strict asserts the limit at every look. What a killed process had in hand may be
	// miscounted until the files are counted again.
	strict bool
}

func (c crowding) run(t *testing.T) {
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i, _ := strconv.Atoi(path.Base(r.URL.Path))
		_, _ = w.Write([]byte(crowdContent(i)))
	}))
	t.Cleanup(o.Close)
	var sum int64
	for i := range c.files {
		sum += int64(len(crowdContent(i)))
	}
	limit := sum / 10
	dir := filepath.Join(t.TempDir(), "cache")
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	start := func() *process {
		return startProcess(t, "crowd", dir, o.URL+"/", strconv.Itoa(c.files), strconv.FormatInt(limit, 10), strconv.FormatUint(random.Uint64(), 10))
	}
	running := make([]*process, c.processes)
	for i := range running {
		running[i] = start()
	}
	watching := newCrowdWatch(t, dir, limit)
	watching.strict = c.strict
	ended := make(chan struct{})
	var ends sync.WaitGroup
	await := func(p *process) {
		ends.Go(func() { assert.Equal(t, "all", p.end()) })
	}
	for killed := 0; killed < c.kills; killed++ {
		time.Sleep(time.Duration(random.Int64N(int64(50 * time.Millisecond)))) // when does not matter
		i := random.IntN(len(running))
		require.NoError(t, running[i].Process.Kill())
		_ = running[i].Wait()
		running[i] = start()
		watching.look(running)
	}
	for _, p := range running {
		await(p)
	}
	go func() { ends.Wait(); close(ended) }()
	for watching.pause(ended) {
		watching.look(running)
	}
	t.Logf("%d looks, the limit asserted in %d, at most %.0f %% of it, %.0f %% at last", watching.looks, watching.asserted, 100*watching.most, 100*watching.last)
	require.Greater(t, watching.looks, 0)

	// Whatever happened, the count is that of the disk once the files are counted.
	m := managerAt(t, dir, WithSizeLimit(limit), WithFileLimit(1))
	require.NoError(t, m.house.load(t.Context()))
	m.dir.Sweep()
	u := m.Stats()
	assert.Equal(t, bytesIn(t, dir), u.Bytes)
	assert.Zero(t, u.Reserved)
	assert.LessOrEqual(t, u.Bytes, limit)
	assert.Greater(t, u.Bytes, limit/2, "and not for nothing")
}

// bytesIn sums up the finished files.
func bytesIn(t *testing.T, dir string) (sum int64) {
	t.Helper()
	d, err := fs.Open(afero.NewOsFs(), dir, fs.Options{})
	require.NoError(t, err)
	defer d.Close()
	require.NoError(t, d.Walk(t.Context(), func(_ string, info fs.Info) error {
		sum += info.Size
		return nil
	}))
	return sum
}

// crowdWatch looks at a directory while all who are at work in it are stopped, so
// that it sees one moment.
type crowdWatch struct {
	t          *testing.T
	dir        string
	limit      int64
	strict     bool
	unsure     time.Time // until then, somebody may count without the lock
	looks      int
	asserted   int // in how many of them the limit was
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
	// Whoever is stopped with the lock of the count in his hand lets the others count
	// without it after a while, when the limit may be exceeded: nobody shall have it.
	unlock := w.lockCount()
	locked := time.Now()
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
	unlock()
	// Who has tried for a second to get the lock counts without it for ten.
	if time.Since(locked) > 500*time.Millisecond {
		w.unsure = time.Now().Add(10 * time.Second)
	}
	u, ok := fs.ReadUsage(w.dir)
	if !ok || !u.Known {
		return // nobody has begun
	}
	there := bytesIn(t, w.dir)
	w.looks++
	w.last = float64(there) / float64(w.limit)
	w.most = max(w.most, w.last)
	if !w.strict || time.Now().Before(w.unsure) {
		return
	}
	w.asserted++
	assert.LessOrEqual(t, u.All(), w.limit, "what is counted keeps the limit")
	assert.LessOrEqual(t, there, u.All(), "what is there is counted")
	require.LessOrEqual(t, there, w.limit)
}

// lockCount takes the lock of the count.
func (w *crowdWatch) lockCount() (unlock func()) {
	f, err := os.OpenFile(filepath.Join(w.dir, ".dlm", "usage"), os.O_RDWR, 0)
	if os.IsNotExist(err) {
		return func() {}
	}
	require.NoError(w.t, err)
	require.Eventually(w.t, func() bool {
		ok, err := fs.TryLock(f)
		return err == nil && ok
	}, time.Minute, 50*time.Microsecond)
	return func() { require.NoError(w.t, f.Close()) }
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
	crowding{processes: 8, files: 400, strict: true}.run(t)
}

func TestTheCountOutlivesKills(t *testing.T) {
	t.Parallel()
	crowding{processes: 4, files: 400, kills: 12}.run(t)
}
