package batch

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestStopConditionsAndTheirReasons(t *testing.T) {
	c := newCounter(t)
	for name, limits := range map[string]Limits{
		ReasonTime.String():   {Time: time.Millisecond},
		ReasonFiles.String():  {Files: 3},
		ReasonBytes.String():  {Bytes: 10},
		ReasonErrors.String(): {Errors: 2},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJob(t)
			for i := range 200 {
				add(t, j, fmt.Sprint(c.URL, "/", i), fmt.Sprint(c.URL, "/bad", i))
			}
			var told func(Outcome[Link])
			if limits.Time > 0 {
				told = func(Outcome[Link]) { time.Sleep(time.Millisecond) } // so that it cannot be done before
			}
			report, err := j.Run(t.Context(), newManager(t), limits, told)
			require.NoError(t, err)
			assert.Equal(t, name, report.Reason.String())
			assert.Positive(t, report.Left)
			if limits.Files > 0 {
				assert.Equal(t, limits.Files, report.Written)
			}
			assert.Equal(t, report.Left, j.Stats().Left)
		})
	}
}

func TestStoppedAtTheFirstSignalAndThenAtOnce(t *testing.T) {
	o := testorigin.New(t)
	const size = 4 << 20
	gate := make(chan struct{})
	slow := o.ServeSize("/slow", size, testorigin.ETag(`"v1"`), testorigin.GateAfter(size/2, gate))
	stuck := o.ServeSize("/stuck", size, testorigin.ETag(`"v1"`), testorigin.GateAfter(size/2, nil))
	j := newJob(t)
	add(t, j, slow, stuck)
	for i := range 20 {
		add(t, j, o.Serve(fmt.Sprint("/", i), []byte("x")))
	}
	m := newManager(t, dlmanager.WithMaxConcurrent(2))
	first, stop := context.WithCancel(t.Context())
	second, now := context.WithCancel(t.Context())
	defer stop()
	defer now()
	var halves atomic.Int32
	progress := dlmanager.WithProgress(func(_ *dlmanager.Download, current, _ int64) {
		if current == size/2 && halves.Add(1) == 2 {
			stop()
			close(gate)
		}
	})
	oneConnection := dlmanager.WithConnections(1) // a second one would pass the half
	report, err := j.Run(first, m, Limits{}, func(out Outcome[Link]) {
		if out.URL == slow {
			now()
		}
	}, WithDrain(time.Hour), WithAbort(second), WithDownload(progress, oneConnection))
	require.NoError(t, err)
	assert.Equal(t, ReasonStopped, report.Reason)
	assert.Equal(t, 1, report.Written, "what was under way came to its end")
	assert.Equal(t, 21, report.Left)
	o.ServeSize("/stuck", size, testorigin.ETag(`"v1"`))
	j = reopen(t, j)
	resumed := 0
	report, err = j.Run(t.Context(), m, Limits{}, func(out Outcome[Link]) {
		if out.Result.Origin == dlmanager.OriginResumed {
			resumed++
		}
	})
	require.NoError(t, err)
	assert.Equal(t, ReasonDone, report.Reason)
	assert.Equal(t, 1, resumed, "the partial file was kept")
	assert.Equal(t, 1, o.Count("/slow"))
}

func TestAnOutcomeCountsWhenItWasTold(t *testing.T) {
	c := newCounter(t)
	j := newJob(t)
	add(t, j, c.urls(5)...)
	m := newManager(t)
	assert.Panics(t, func() {
		_, _ = j.Run(t.Context(), m, Limits{}, func(Outcome[Link]) { panic("no") })
	})
	j = reopen(t, j)
	assert.Equal(t, 5, j.Stats().Left)
	report := run(t, j, m)
	assert.Equal(t, 5, report.Written+report.Cached)
	assert.LessOrEqual(t, c.all.Load(), int64(10))
}

func TestAJobsSlowHostHoldsUpNoOther(t *testing.T) {
	slow, c := testorigin.New(t), newCounter(t)
	gate := make(chan struct{})
	j := newJob(t)
	for i := range 100 {
		add(t, j, slow.Serve(fmt.Sprint("/", i), []byte("slow"), testorigin.Gate(gate)))
	}
	add(t, j, c.urls(50)...)
	fast := 0
	m := newManager(t, dlmanager.WithMaxConcurrent(4), dlmanager.WithMaxPerHost(2))
	report, err := j.Run(t.Context(), m, Limits{}, func(o Outcome[Link]) {
		if strings.HasPrefix(o.URL, c.URL) {
			if fast++; fast == 50 {
				close(gate)
			}
		}
	}, WithWindow(40)) // less than the slow host has
	require.NoError(t, err)
	assert.Equal(t, 150, report.Written)
}

func TestALimitIsSeenBeforeOutcomesAreTold(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	j := newJob(t)
	o.Serve("/0", nil, testorigin.Status(http.StatusNotFound, ""))
	add(t, j, o.URL("/0"))
	const links = 30
	for i := range links {
		path := fmt.Sprint("/", i+1)
		o.Serve(path, nil, testorigin.Status(http.StatusNotFound, ""), testorigin.Gate(gate))
		add(t, j, o.URL(path))
	}
	m := newManager(t, dlmanager.WithMaxConcurrent(1))
	told := 0
	report, err := j.Run(t.Context(), m, Limits{Errors: 1}, func(Outcome[Link]) {
		if told++; told > 1 {
			return
		}
		close(gate)
		quiet := 0
		assert.Eventually(t, func() bool {
			if quiet++; len(m.Downloads()) > 0 {
				quiet = 0
			}
			return quiet == 20 // nothing begins any more
		}, waitTime, tick)
	})
	require.NoError(t, err)
	assert.Equal(t, ReasonErrors, report.Reason)
	assert.LessOrEqual(t, report.Failed, 2, "what was under way ends")
	assert.GreaterOrEqual(t, report.Left, links-1)
}

// Else a kill makes a link that was told to be bad be asked for again.
func TestAFailureIsNotedBeforeTheNextOutcomeIsTold(t *testing.T) {
	c := newCounter(t)
	j, m := newJob(t), newManager(t)
	const n = 100
	for i := range n {
		_, err := j.Add(Link{URL: c.URL + []string{"/good", "/bad"}[i%2] + fmt.Sprint(i)})
		require.NoError(t, err)
	}
	told := 0
	_, err := j.Run(t.Context(), m, Limits{}, func(o Outcome[Link]) {
		assert.Equal(t, told, j.Stats().Failed)
		if o.State == Failed {
			told++
		}
	})
	require.NoError(t, err)
	assert.Equal(t, n/2, told)
}

func TestOneURLInARowHasAllItsNames(t *testing.T) {
	c := newCounter(t)
	m := newManager(t)
	var links []Link
	for _, url := range c.urls(2 * longRow) {
		links = append(links, Link{URL: url, Name: "given" + url[len(c.URL):]}, Link{URL: url})
	}
	for _, want := range []State{Written, CacheHit} {
		j := newJob(t)
		_, err := j.AddList(t.Context(), listAt(t, filepath.Join(t.TempDir(), "list"), listOf(links)))
		require.NoError(t, err)
		_, err = j.Run(t.Context(), m, Limits{}, func(o Outcome[Link]) {
			name := o.Name
			if name == "" {
				name, _ = Tree(o.URL)
			}
			path, err := m.Dest(name)
			assert.NoError(t, err)
			assert.Equal(t, path, o.Path)
			assert.Equal(t, want, o.State)
		})
		require.NoError(t, err)
		require.Equal(t, len(links), j.Stats().Done)
	}
}

// listOf is a list with these links.
func listOf(links []Link) string {
	var text strings.Builder
	for _, l := range links {
		fmt.Fprintln(&text, l.URL, l.Name)
	}
	return text.String()
}

func TestANamingIsAskedForNoBadLine(t *testing.T) {
	c := newCounter(t)
	naming := func(url string) (string, error) { return url[strings.LastIndexByte(url, '/'):][1:], nil }
	j := newJob(t, WithJobNaming(naming))
	_, err := j.AddList(t.Context(), listAt(t, filepath.Join(t.TempDir(), "list"), "nonsense\n"+c.URL+"/1\n"))
	require.NoError(t, err)
	m := newManager(t)
	for range 2 {
		require.Equal(t, 1, run(t, j, m).Failed)
		n, err := j.RetryFailed()
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
}

// Most links are of the host of the one before, however that is spelled.
func TestWhatIsKnownOfAHostIsFoundUnderEachSpelling(t *testing.T) {
	r := newJobRun(newJob(t), Limits{}, nil, 16)
	h := r.host("http://User@Host:1/a")
	h.hand = 1
	for _, url := range []string{"http://host:1", "http://HOST:1?x", "https://Host:1#x", "http://host:1/b"} {
		assert.Same(t, h, r.host(url), url)
	}
	assert.NotSame(t, h, r.host("http://host:2/a"))
	r.host("http://host:1/c")
	h.hand = 0
	delete(r.hosts, h.name) // as the last one does that is done
	again := r.host("http://host:1/d")
	assert.NotSame(t, h, again)
	assert.Same(t, again, r.hosts["host:1"])
}

// What ends meanwhile is told, also if who looks for the next file waits for that.
func TestAHookMayWaitForWhatIsTold(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("x"))
	const ahead = 8
	finished := make(chan *dlmanager.Download, ahead)
	dir := t.TempDir()
	fill, err := dlmanager.NewDownloadManager(dir)
	require.NoError(t, err)
	defer fill.Close()
	j := newJob(t)
	const n = 100
	for i := range n {
		name := fmt.Sprint(i)
		require.NoError(t, fill.Download(url, name).Wait())
		_, err := j.Add(Link{URL: url, Name: name})
		require.NoError(t, err)
	}
	m, err := dlmanager.NewDownloadManager(dir, dlmanager.WithHooks(dlmanager.Hooks{Finished: func(d *dlmanager.Download) { finished <- d }}))
	require.NoError(t, err)
	defer m.Close()
	report, err := j.Run(t.Context(), m, Limits{}, func(Outcome[Link]) { <-finished })
	require.NoError(t, err)
	assert.Equal(t, n, report.Cached)
}
