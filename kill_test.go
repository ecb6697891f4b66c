package dlmanager

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// killing is a test that downloads files in a second process, which is killed
// again and again.
type killing struct {
	files int
	size  int64         // bytes, of each
	rate  int64         // bytes per second, of each connection
	kills int           // as many as come before all is there, at most
	pause time.Duration // at most, between two
	most  float64       // of what there is, how often it may be sent; 0: that is not told
}

// run kills, and asserts that no torn file ever has a final name, that all is
// there at last, and that little was fetched twice.
func (k killing) run(t *testing.T) {
	var sent atomic.Int64
	var serving atomic.Int32
	var asked events // to see what was fetched twice
	content := contentOf(k.size)
	begun := time.Now()
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Add(-1)
		asked.add(fmt.Sprintf("%v %s %s", time.Since(begun).Round(time.Millisecond), r.URL.Path, r.Header.Get("Range")))
		w.Header().Set("ETag", `"v1"`)
		body := &paced{ReadSeeker: strings.NewReader(content), rate: k.rate}
		http.ServeContent(&countingWriter{w, &sent}, r, "", time.Time{}, body)
	}))
	t.Cleanup(o.Close)
	dir := filepath.Join(t.TempDir(), "cache")
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(strings.Join(asked.all(), "\n"))
		}
	})
	start := func() *process { return startProcess(t, dir, o.URL+"/", strconv.Itoa(k.files)) }

	noted := int64(0)
	for killed := range k.kills {
		p := start()
		done := make(chan string, 1)
		go func() { done <- p.end() }()
		select {
		case end := <-done:
			require.Equal(t, "all", end)
			t.Log("all was there after", killed, "kills")
			k.check(t, dir, content, sent.Load())
			return
		case <-time.After(time.Duration(random.Int64N(int64(k.pause)))):
			asked.add("killed")
			require.NoError(t, p.Process.Kill())
			<-done
		}
		before := noted
		noted = k.requireWhole(t, dir, content)
		require.GreaterOrEqual(t, noted, before, "what was noted is never lost")
	}
	require.Eventually(t, func() bool { return serving.Load() == 0 }, time.Minute, time.Millisecond, "a killed process's requests end")
	before := sent.Load()
	require.Equal(t, "all", start().end())
	// Of each file some of what is on its way may be asked for twice, when connections
	// share it: as much as the server is ahead of a machine that does not keep up.
	assert.LessOrEqual(t, sent.Load()-before, k.total()-noted+k.total()/4, "what was noted is not fetched again")
	k.check(t, dir, content, sent.Load())
}

func (k killing) total() int64 { return int64(k.files) * k.size }

// requireWhole asserts that what has a final name is whole. It returns how many
// bytes need not be fetched again.
func (k killing) requireWhole(t *testing.T, dir, content string) (noted int64) {
	t.Helper()
	want := sha256.Sum256([]byte(content))
	for i := range k.files {
		text, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i)))
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		require.Equal(t, want, sha256.Sum256(text), "a torn file")
		noted += k.size
	}
	records, err := filepath.Glob(filepath.Join(dir, ".dlm", "partial", "*.json"))
	require.NoError(t, err)
	for _, name := range records {
		text := readFile(t, name)
		if text == "" {
			continue // it was made, and not yet written
		}
		r, ok := parseRecord([]byte(text))
		require.True(t, ok, "a torn record: %s", name)
		for _, stored := range r.Ranges {
			noted += stored.To - stored.From
		}
	}
	return noted
}

func (k killing) check(t *testing.T, dir, content string, sent int64) {
	t.Helper()
	require.Equal(t, k.total(), k.requireWhole(t, dir, content))
	requireNothingUnfinished(t, dir)
	ratio := float64(sent) / float64(k.total())
	t.Logf("sent %.2f times what there is", ratio)
	if k.most > 0 {
		assert.Less(t, ratio, k.most)
	}
}

// paced is a body that comes at a rate.
type paced struct {
	io.ReadSeeker
	rate int64
}

func (p *paced) Read(b []byte) (int, error) {
	const tick = 10 * time.Millisecond
	time.Sleep(tick)
	return p.ReadSeeker.Read(b[:min(int64(len(b)), p.rate*int64(tick)/int64(time.Second))])
}

func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel() // it waits for other processes
	killing{files: 8, size: 3 * mib, rate: 1 * mib, kills: 8, pause: 900 * time.Millisecond}.run(t)
}
