//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// killedServer is what a killed batch fetches from. A link is base + path; the
// content of what is there is contentOf its path.
type killedServer interface {
	links() []killedLink
	// moment returns a channel that tells when a run is killed.
	moment(random *rand.Rand) <-chan time.Time
	// last is called before the run that is not killed.
	last()
	// requests returns how often each path was asked for, and how many of these
	// requests the server has failed so that they had to be made again.
	requests(t *testing.T) (count map[string]int, caused int)
}

type killedLink struct {
	base, path string
	bad        bool // it is not there
}

func contentOf(path string) []byte {
	n, _ := strconv.Atoi(strings.TrimLeft(path, "/abcdefghijklmnopqrstuvwxyz"))
	return bytes.Repeat([]byte(path+"\n"), 1+n%200)
}

// killedBatch is a test in which dlm batch is killed again and again, and always
// goes on with the same command.
type killedBatch struct {
	server   killedServer
	kills    int
	parallel int
	flags    []string
}

func (k killedBatch) run(t *testing.T) {
	links := k.server.links()
	dir := t.TempDir()
	list, reportPath := filepath.Join(dir, "links.txt"), filepath.Join(dir, "report.jsonl")
	var text strings.Builder
	for i, l := range links {
		fmt.Fprintf(&text, "%s%s f/%d\n", l.base, l.path, i)
	}
	require.NoError(t, os.WriteFile(list, []byte(text.String()), 0o600))
	args := append([]string{"batch", "-q", "-j", strconv.Itoa(k.parallel), "--report", reportPath}, k.flags...)
	first, cache := dlm(t, append(args, list)...)
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	settled := map[string]int{} // path of what was noted: how often it had been asked for
	for killed := range k.kills {
		k.kill(t, again(first), killed, random)
		k.settle(t, links, reportPath, settled)
	}
	k.server.last()
	out, err := again(first).CombinedOutput()
	require.Equal(t, 7, exitCodeOf(t, err), string(out))

	count, caused := k.server.requests(t)
	all := 0
	for _, n := range count {
		all += n
	}
	for path, n := range settled {
		require.Equal(t, n, count[path], "%s was asked for again, after it was noted", path)
	}
	t.Logf("%d links, %d kills, %d were noted before the last run, %d requests, %d of them again because of the server",
		len(links), k.kills, len(settled), all, caused)
	bad := k.check(t, links, cache, readReports(t, reportPath))
	// A bad link's place is the next one's before its failure is noted.
	assert.LessOrEqual(t, all, len(links)+caused+k.kills*k.parallel+bad)
}

// kill starts the batch, and kills it at a moment.
func (k killedBatch) kill(t *testing.T, cmd *exec.Cmd, killed int, random *rand.Rand) {
	var said bytes.Buffer
	cmd.Stderr = &said
	when := k.server.moment(random)
	require.NoError(t, cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		t.Fatalf("it ended before it was killed for the %dth time: %v\n%s", killed+1, err, &said)
	case <-when:
		require.NoError(t, cmd.Process.Kill())
		<-done
	}
}

// settle adds what was noted, which is all that is in the report but its last line:
// an outcome is noted when it was told, before the next one is told.
func (k killedBatch) settle(t *testing.T, links []killedLink, reportPath string, settled map[string]int) {
	reports := readReports(t, reportPath)
	if len(reports) < 2 {
		return
	}
	count, _ := k.server.requests(t)
	for _, r := range reports[:len(reports)-1] {
		path := links[r.Line-1].path
		if _, known := settled[path]; !known {
			require.Positive(t, count[path], "%s is noted and was never asked for", path)
			settled[path] = count[path]
		}
	}
}

func readReports(t *testing.T, path string) (reports []linkReport) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil // it was killed before
	}
	require.NoError(t, err)
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // a kill came into the write
		}
		var r linkReport
		require.NoError(t, json.Unmarshal(line, &r), string(line))
		reports = append(reports, r)
	}
	return reports
}

// check asserts that every good file is there and right, and every bad one in the
// report with its reason. It returns how many are bad.
func (k killedBatch) check(t *testing.T, links []killedLink, cache string, reports []linkReport) (bad int) {
	last := map[int]linkReport{}
	for _, r := range reports {
		last[r.Line] = r
	}
	for i, l := range links {
		file := filepath.Join(cache, "f", strconv.Itoa(i))
		if l.bad {
			bad++
			require.Contains(t, last[i+1].Error, "404")
			require.NoFileExists(t, file)
			continue
		}
		require.Empty(t, last[i+1].Error)
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, bytes.Equal(contentOf(l.path), got), "%s is not what the server has", file)
	}
	require.Positive(t, bad)
	requireNoPartials(t, cache)
	return bad
}

// countingServer is a server in this process. Some requests are cut, some files do
// not come before the last run, and a run is killed after so many requests.
type countingServer struct {
	base    string
	files   int
	mu      sync.Mutex // guards all below
	count   map[string]int
	caused  int
	all     int
	killAt  int
	kill    chan time.Time
	release chan struct{}
}

func newCountingServer(t *testing.T, files int) *countingServer {
	c := &countingServer{files: files, count: map[string]int{}, release: make(chan struct{})}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	c.base = s.URL
	return c
}

func (c *countingServer) links() []killedLink {
	var links []killedLink
	for i := range c.files {
		kind := "f"
		switch {
		case i%50 == 7:
			kind = "bad"
		case i%40 == 11:
			kind = "reset"
		case i%100 == 23:
			kind = "slow"
		}
		links = append(links, killedLink{c.base, fmt.Sprintf("/%s%d", kind, i), kind == "bad"})
	}
	return links
}

func (c *countingServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	first, released := c.note(path)
	switch {
	case strings.HasPrefix(path, "/bad"):
		http.NotFound(w, r)
	case strings.HasPrefix(path, "/reset") && first:
		panic(http.ErrAbortHandler)
	case strings.HasPrefix(path, "/slow"):
		select {
		case <-released:
		case <-r.Context().Done():
			return
		}
		fallthrough
	default:
		_, _ = w.Write(contentOf(path))
	}
}

func (c *countingServer) note(path string) (first bool, released <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first = c.count[path] == 0
	c.count[path]++
	if first && strings.HasPrefix(path, "/reset") {
		c.caused++
	}
	if c.all++; c.all == c.killAt {
		c.kill <- time.Time{}
	}
	return first, c.release
}

func (c *countingServer) moment(random *rand.Rand) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killAt, c.kill = c.all+1+random.IntN(c.files/8), make(chan time.Time, 1)
	return c.kill
}

func (c *countingServer) last() { close(c.release) }

func (c *countingServer) requests(*testing.T) (map[string]int, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := map[string]int{}
	for path, n := range c.count {
		count[path] = n
	}
	return count, c.caused
}

func TestAKilledBatchGoesOn(t *testing.T) {
	killedBatch{server: newCountingServer(t, 300), kills: 5, parallel: 8, flags: []string{"--sync", "none"}}.run(t)
}
