package batch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// echo serves its path as the body of every URL.
func echo(t testing.TB) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.Path)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestOneGivesTheOutcomeAndTheValueBack(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/tool", []byte("content"))
	m := newManager(t)
	out := One(t.Context(), m, Item[int]{Link{URL: url, Name: "tool"}, 7})
	require.NoError(t, out.Err)
	assert.Equal(t, 7, out.Value)
	assert.Equal(t, Written, out.State)
	assert.True(t, out.There())
	assert.Equal(t, 1, out.Attempts)
	assert.EqualValues(t, 7, out.Bytes)
	assert.Equal(t, "content", readFile(t, out.Path))
	assert.Equal(t, CacheHit, One(t.Context(), m, Item[int]{Link: Link{URL: url, Name: "tool"}}).State, "what is there is skipped")
	out = One(t.Context(), m, Item[int]{Link: Link{URL: url, Name: "tool"}}, WithDownload(dlmanager.WithForce()))
	assert.Equal(t, Written, out.State, "or overwritten")
	assert.Equal(t, 2, o.Count("/tool"))
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	out = One(ctx, m, Item[int]{Link{URL: url}, 8})
	assert.Equal(t, Initialised, out.State)
	assert.Equal(t, 8, out.Value)
	require.ErrorIs(t, out.Err, cause)
}

func TestSwarmKeepsTheOrder(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	urls := []string{o.Serve("/0", []byte("0"), testorigin.Gate(gate))}
	for i := 1; i < 30; i++ {
		urls = append(urls, o.Serve(fmt.Sprint("/", i), fmt.Append(nil, i)))
	}
	go func() {
		<-o.Arrived("/29", 1) // all others are done, or about to be
		close(gate)
	}()
	var got []string
	for out := range Swarm(t.Context(), newManager(t), Links(urls...)) {
		require.NoError(t, out.Err)
		got = append(got, out.Value)
	}
	assert.Equal(t, urls, got)
}

func TestEachGivesOutcomesAsTheyCome(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	slow := o.Serve("/slow", []byte("slow"), testorigin.Gate(gate))
	fast := o.Serve("/fast", []byte("fast"))
	type build struct{ name string }
	mine := &build{"mine"}
	items := slices.Values([]Item[*build]{{Link{URL: slow}, mine}, {Link{URL: fast}, nil}})
	var got []*build
	for out := range Each(t.Context(), newManager(t), items) {
		require.NoError(t, out.Err)
		got = append(got, out.Value)
		if out.Value == nil {
			close(gate)
		}
	}
	require.Len(t, got, 2)
	assert.Same(t, mine, got[1], "the caller's own value")
}

func TestAFailureIsAnOutcomeAndWritesNoFile(t *testing.T) {
	o := testorigin.New(t)
	good := o.Serve("/good", []byte("good"))
	items := []Item[string]{
		{Link{URL: "://"}, "bad URL"},
		{Link{URL: "ftp://h/x", Name: "x"}, "bad scheme"},
		{Link{URL: good, Name: "../../etc/x"}, "bad name"},
		{Link{URL: o.Serve("/missing", nil, testorigin.Status(404, "")), Name: "missing"}, "404"},
		{Link{URL: good, Name: "sum", Checksum: "sha256:" + strings.Repeat("0", 64)}, "checksum"},
		{Link{URL: good, Name: "good"}, "good"},
	}
	m := newManager(t)
	got := map[string]Outcome[string]{}
	for out := range Each(t.Context(), m, slices.Values(items)) {
		got[out.Value] = out
	}
	require.Len(t, got, len(items))
	silent := Item[string]{Link{URL: o.Serve("/silent", nil, testorigin.Silent()), Name: "silent"}, "time-out"}
	got["time-out"] = One(t.Context(), m, silent, WithDownload(dlmanager.WithStallTimeout(50*time.Millisecond)))
	for what, out := range got {
		if what == "good" {
			assert.Equal(t, Written, out.State)
			continue
		}
		assert.Equal(t, Failed, out.State, what)
		require.Error(t, out.Err, what)
		assert.Empty(t, out.Path)
	}
	assert.Equal(t, 404, got["404"].Status)
	assert.Equal(t, 1, got["404"].Attempts)
	require.ErrorIs(t, got["time-out"].Err, dlmanager.ErrStalled)
	dest, err := m.Dest("x")
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(filepath.Dir(dest), "*"))
	require.NoError(t, err)
	assert.Equal(t, []string{".dlm", "CACHEDIR.TAG", "good"}, names(files))
}

func names(paths []string) []string {
	var all []string
	for _, p := range paths {
		all = append(all, filepath.Base(p))
	}
	return all
}

func TestAnEmptyInputIsAnEmptyResult(t *testing.T) {
	for range Swarm(t.Context(), newManager(t), Links()) {
		t.Fatal("an outcome of nothing")
	}
}

func TestAnEndlessSequenceIsTakenAsFarAsItIsWorkedOn(t *testing.T) {
	s := echo(t)
	m := newManager(t, dlmanager.WithMaxConcurrent(4))
	taken := 0
	seen := 0
	for out := range Each(t.Context(), m, endless(s.URL, &taken)) {
		require.NoError(t, out.Err)
		if seen++; seen == 50 {
			break
		}
	}
	assert.LessOrEqual(t, taken, 50+4+slack+1+1, "one is taken before it is known that there is no room")
	assert.Empty(t, m.Downloads(), "leaving the loop waits for all")
	// Files that are there cost no place; the loop's body is what holds them back.
	seen = 0
	for range Each(t.Context(), m, endless(s.URL, &taken)) {
		if seen++; seen == 5 {
			break
		}
	}
	assert.LessOrEqual(t, taken, 5+4+slack+1+1)
}

func TestLeavingTheLoopInterruptsAndKeepsPartials(t *testing.T) {
	o := testorigin.New(t)
	const size = 4 << 20
	stuck := o.ServeSize("/stuck", size, testorigin.ETag(`"v1"`), testorigin.GateAfter(size/2, nil))
	fast := o.Serve("/fast", []byte("fast"))
	m := newManager(t)
	half := make(chan struct{})
	var once sync.Once
	progress := dlmanager.WithProgress(func(_ *dlmanager.Download, current, _ int64) {
		if current == size/2 {
			once.Do(func() { close(half) })
		}
	})
	oneConnection := dlmanager.WithConnections(1) // a second one would pass the half
	for out := range Each(t.Context(), m, Links(stuck, fast), WithDownload(progress, oneConnection)) {
		require.Equal(t, fast, out.Value)
		<-half
		break
	}
	assert.Empty(t, m.Downloads())
	o.ServeSize("/stuck", size, testorigin.ETag(`"v1"`))
	out := One(t.Context(), m, Item[int]{Link: Link{URL: stuck}})
	require.NoError(t, out.Err)
	assert.Equal(t, dlmanager.OriginResumed, out.Result.Origin)
}

func TestWhatIsUnderWayGetsItsGrace(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	running := o.Serve("/running", []byte("running"), testorigin.Gate(gate))
	queued := o.Serve("/queued", []byte("queued"))
	m := newManager(t, dlmanager.WithMaxPerHost(1))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-o.Arrived("/running", 1)
		assert.Eventually(t, func() bool { return len(m.Downloads()) == 2 }, waitTime, tick)
		cancel()
	}()
	states := map[string]State{}
	interrupted := false
	for out := range Each(ctx, m, Links(running, queued, queued), WithDrain(time.Hour)) {
		states[out.Value] = out.State
		if out.Value == queued {
			require.ErrorIs(t, out.Err, context.Canceled)
			interrupted = interrupted || errors.Is(out.Err, dlmanager.ErrInterrupted) // the second one may never have begun
			if len(states) == 1 {
				select {
				case <-gate:
				default:
					close(gate)
				}
			}
		}
	}
	assert.Equal(t, Written, states[running])
	assert.Equal(t, Initialised, states[queued], "what waits for its turn has had it")
	assert.True(t, interrupted)
	assert.Zero(t, o.Count("/queued"))
}

func TestTheSecondContextEndsTheGrace(t *testing.T) {
	o := testorigin.New(t)
	silent := o.Serve("/silent", nil, testorigin.Silent())
	ctx, cancel := context.WithCancel(t.Context())
	now, abort := context.WithCancel(t.Context())
	go func() {
		<-o.Arrived("/silent", 1)
		cancel()
		abort()
	}()
	for out := range Each(ctx, newManager(t), Links(silent), WithDrain(time.Hour), WithAbort(now)) {
		assert.Equal(t, Attempted, out.State)
		assert.Equal(t, 1, out.Attempts)
	}
	require.ErrorIs(t, ctx.Err(), context.Canceled)
}

func TestASlowHostHoldsUpNoOther(t *testing.T) {
	slow, fast := testorigin.New(t), echo(t)
	gate := make(chan struct{})
	items := func(yield func(Item[string]) bool) {
		for i := range 300 {
			path := fmt.Sprint("/", i)
			if !yield(Item[string]{Link{URL: slow.Serve(path, []byte("slow"), testorigin.Gate(gate))}, "slow"}) {
				return
			}
		}
		for i := range 50 {
			if !yield(Item[string]{Link{URL: fmt.Sprint(fast.URL, "/", i)}, "fast"}) {
				return
			}
		}
	}
	m := newManager(t, dlmanager.WithMaxConcurrent(4), dlmanager.WithMaxPerHost(2))
	got := map[string]int{}
	for out := range Each(t.Context(), m, items) {
		require.NoError(t, out.Err)
		if got[out.Value]++; got["fast"] == 50 && got["slow"] == 0 {
			close(gate)
		}
	}
	assert.Equal(t, map[string]int{"fast": 50, "slow": 300}, got)
	assert.LessOrEqual(t, slow.MaxConcurrent(), 2)
}

func TestAllWaitersGetTheResultOfOneRequestFailureIncluded(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	good := o.Serve("/good", []byte("good"), testorigin.Gate(gate))
	bad := o.Serve("/bad", nil, testorigin.Gate(gate), testorigin.Status(500, ""))
	go func() {
		<-o.Arrived("/good", 1)
		<-o.Arrived("/bad", 1)
		close(gate)
	}()
	var urls []string
	for range 20 {
		urls = append(urls, good, bad)
	}
	failed := 0
	for out := range Swarm(t.Context(), newManager(t), Links(urls...)) {
		if out.Value == bad {
			assert.Equal(t, 500, out.Status)
			failed++
			continue
		}
		require.NoError(t, out.Err)
	}
	assert.Equal(t, 20, failed)
	assert.Equal(t, 1, o.Count("/good"))
}

func TestSizesAreBoundedByHeaderAndByCount(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, dlmanager.WithMaxSize(10), dlmanager.WithMinSize(1))
	for url, want := range map[string]error{
		o.ServeSize("/announced", 11):                           dlmanager.ErrTooLarge,
		o.ServeSize("/counted", 11, testorigin.NoLength()):      dlmanager.ErrTooLarge,
		o.ServeSize("/empty", 0):                                dlmanager.ErrTooSmall,
		o.ServeSize("/right", 10):                               nil,
		o.ServeSize("/unknown", 10, testorigin.NoLength()):      nil,
		o.ServeSize("/nothing", 0, testorigin.NoLength()):       dlmanager.ErrTooSmall,
		o.ServeSize("/closed", 11, testorigin.CloseDelimited()): dlmanager.ErrTooLarge,
	} {
		require.ErrorIs(t, One(t.Context(), m, Item[int]{Link: Link{URL: url}}).Err, want, url)
	}
}

func TestThenIsCalledBeforeTheOutcomeAndMayFailIt(t *testing.T) {
	s := echo(t)
	dir := t.TempDir()
	then := WithThen(func(ctx context.Context, l Link, d *dlmanager.Download) error {
		switch {
		case strings.HasSuffix(l.URL, "/bad"):
			return os.ErrPermission
		case strings.HasSuffix(l.URL, "/worse"):
			panic("a mistake")
		}
		return d.CopyTo(ctx, filepath.Join(dir, "copy"), 0o666)
	})
	m := newManager(t)
	for range 2 { // fetched, and there already
		for out := range Each(t.Context(), m, Links(s.URL+"/bad", s.URL+"/good", s.URL+"/worse"), then) {
			switch out.Value {
			case s.URL + "/good":
				require.NoError(t, out.Err)
				assert.Equal(t, "/good", readFile(t, filepath.Join(dir, "copy")))
			case s.URL + "/bad":
				assert.Equal(t, Failed, out.State)
				require.ErrorIs(t, out.Err, os.ErrPermission)
			default:
				require.ErrorContains(t, out.Err, "a mistake")
			}
		}
	}
}

func TestAPanicOfTheSequenceIsTheLoops(t *testing.T) {
	m := newManager(t)
	assert.PanicsWithValue(t, "no more", func() {
		for range Each(t.Context(), m, func(func(Item[int]) bool) { panic("no more") }) {
			t.Error("an outcome of nothing")
		}
	})
	s := echo(t)
	assert.PanicsWithValue(t, "mine", func() {
		taken := 0
		for range Each(t.Context(), m, endless(s.URL, &taken)) {
			panic("mine")
		}
	})
	assert.Empty(t, m.Downloads())
}

func TestClientsAndManagersAreLeftOpen(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/x", []byte("x"))
	m := newManager(t, dlmanager.WithHTTPClient(o.Client()))
	require.NoError(t, One(t.Context(), m, Item[int]{Link: Link{URL: url}}).Err)
	require.NoError(t, One(t.Context(), m, Item[int]{Link: Link{URL: url, Name: "again"}}).Err)
}

func TestNamesDependOnTheURLAlone(t *testing.T) {
	s := echo(t)
	urls := []string{"/a/x", "/b/x", "/b/x?q=1", "/b/x?q=2", "/b/", "/b", "/", "/..%2f..%2fetc/x"}
	for i := range urls {
		urls[i] = s.URL + urls[i]
	}
	for name, naming := range map[string]Naming{"flat": Flat, "tree": Tree, "own": func(url string) (string, error) {
		tree, err := dlmanager.TreeName(url)
		return "own/" + tree, err
	}} {
		t.Run(name, func(t *testing.T) {
			paths := func(urls []string) map[string]string {
				m := newManager(t)
				home, err := m.Dest("x")
				require.NoError(t, err)
				of := map[string]string{}
				for out := range Each(t.Context(), m, Links(urls...), WithNaming(naming)) {
					require.NoError(t, out.Err)
					require.Equal(t, Written, out.State, "%s is not taken for another one", out.URL)
					rel, err := filepath.Rel(filepath.Dir(home), out.Path)
					require.NoError(t, err)
					require.True(t, filepath.IsLocal(rel))
					of[out.URL] = rel
				}
				return of
			}
			forth := paths(urls)
			slices.Reverse(urls)
			assert.Equal(t, forth, paths(urls), "whatever the order")
			assert.Len(t, forth, len(urls))
		})
	}
}

func TestASleepingDownloadGivesItsPlaceToAnother(t *testing.T) {
	o := testorigin.New(t)
	bad := o.Serve("/bad", nil, testorigin.Sequence(testorigin.Status(503, ""), testorigin.OK()))
	good := o.Serve("/good", []byte("good"))
	asleep := make(chan struct{})
	m := newManager(t, dlmanager.WithMaxConcurrent(1), dlmanager.WithStrategy(dlmanager.Lenient{}),
		dlmanager.WithHooks(dlmanager.Hooks{Retrying: func(*dlmanager.Download, dlmanager.Attempt, time.Duration) { close(asleep) }}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	states := map[string]State{}
	for out := range Each(ctx, m, Links(bad, good)) {
		states[out.Value] = out.State
		if out.Value == good {
			<-asleep
			cancel() // the strategy would wait for a minute
		}
	}
	assert.Equal(t, map[string]State{good: Written, bad: Attempted}, states)
}
