package batch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// killing is a test that runs a job in a second process, which is killed again and
// again.
type killing struct {
	links int
	bad   int           // one of so many
	kills int           // as many as come before all is done, at most
	pause time.Duration // at most, between two
}

func (k killing) run(t *testing.T) {
	c := newCounter(t)
	temp := t.TempDir()
	job, cache, list := filepath.Join(temp, "job"), filepath.Join(temp, "cache"), filepath.Join(temp, "list")
	var text strings.Builder
	paths := make([]string, k.links)
	for i := range paths {
		paths[i] = fmt.Sprint("/", i)
		if i%k.bad == 0 {
			paths[i] = fmt.Sprint("/bad", i)
		}
		fmt.Fprintf(&text, "%s%s f/%d\n", c.URL, paths[i], i)
	}
	require.NoError(t, os.WriteFile(list, []byte(text.String()), 0o600))
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	done := make(chan string, 1)
	killed := 0
	for ; ; killed++ {
		settled := k.settled(t, c, job, paths)
		p := startProcess(t, job, cache, list)
		go func() { done <- p.end() }()
		var over <-chan time.Time
		if killed < k.kills {
			over = time.After(time.Duration(random.Int64N(int64(k.pause))))
		}
		finished := false
		select {
		case end := <-done:
			require.Equal(t, "done", end)
			finished = true
		case <-over:
			if err := p.Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
				require.NoError(t, err)
			}
			<-done
		}
		for path, hits := range settled {
			require.Equal(t, hits, c.count(path), "%s was asked for again, after it was noted", path)
		}
		if finished {
			break
		}
	}
	t.Logf("%d kills, %d requests", killed, c.all.Load())
	assert.LessOrEqual(t, c.all.Load(), int64(k.links+killed*helperPlaces))
	k.check(t, job, cache, paths)
}

// settled returns what the job has noted, and how often that was asked for.
func (k killing) settled(t *testing.T, c *counter, dir string, paths []string) map[string]int {
	j := jobAt(t, dir)
	hits := map[string]int{}
	for i := range uint32(j.state.entries.n) {
		if e := j.state.entries.at(i); e.state != entryQueued {
			path := paths[e.line-1]
			hits[path] = c.count(path)
			require.Positive(t, hits[path], "%s is noted and was never asked for", path)
		}
	}
	require.NoError(t, j.Close())
	return hits
}

// check asserts that every good file is there and right, and every bad one a
// failure with its reason.
func (k killing) check(t *testing.T, job, cache string, paths []string) {
	j := jobAt(t, job)
	failed := map[int]string{}
	for f, err := range j.Failures() {
		require.NoError(t, err)
		failed[f.Line] = f.Reason
	}
	for i, path := range paths {
		if i%k.bad == 0 {
			require.Contains(t, failed[i+1], "404")
			delete(failed, i+1)
			continue
		}
		require.Equal(t, path, readFile(t, filepath.Join(cache, "f", fmt.Sprint(i))))
	}
	assert.Empty(t, failed)
	stats := j.Stats()
	assert.Equal(t, k.links, stats.Done+stats.Failed)
}

func TestAJobThatIsKilledGoesOn(t *testing.T) {
	killing{links: 1000, bad: 100, kills: 6, pause: 180 * time.Millisecond}.run(t)
}

func TestWhoRunsAJobIsNamed(t *testing.T) {
	o := newCounter(t)
	temp := t.TempDir()
	job, list := filepath.Join(temp, "job"), filepath.Join(temp, "list")
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "%s/%d\n", o.URL, i)
	}
	require.NoError(t, os.WriteFile(list, []byte(text.String()), 0o600))
	p := startProcess(t, job, filepath.Join(temp, "cache"), list)
	line, err := p.out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "told\n", line)
	_, err = OpenJob(job)
	require.ErrorIs(t, err, ErrInUse)
	assert.ErrorContains(t, err, fmt.Sprint("process ", p.Process.Pid))
	require.NoError(t, p.Process.Kill())
	p.end()
	j := jobAt(t, job)
	assert.Positive(t, j.Stats().Left, "the lock died with its holder")
}
