package batch

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager"
)

// thereAndNot gives out items of which rows are there, and some between them are not.
func thereAndNot(t *testing.T, base string, m *dlmanager.DownloadManager, n int) (items []Item[int], there int) {
	t.Helper()
	for i := range n {
		url := fmt.Sprint(base, "/", i)
		items = append(items, Item[int]{Link{URL: url}, i})
		if i%(3*longRow) == 2*longRow {
			continue
		}
		name, err := Tree(url)
		require.NoError(t, err)
		require.NoError(t, m.Download(url, name).Wait())
		there++
	}
	return items, there
}

func TestRowsOfFilesThatAreThereComeInOrder(t *testing.T) {
	s := echo(t)
	m := newManager(t)
	const n = 20 * longRow
	items, there := thereAndNot(t, s.URL, m, n)
	next := 0
	for out := range Swarm(t.Context(), m, slices.Values(items)) {
		require.NoError(t, out.Err)
		require.Equal(t, next, out.Value)
		next++
		if out.State == CacheHit {
			there--
		}
	}
	assert.Equal(t, n, next)
	assert.Zero(t, there)
}

// After a long row of files that are not there, what is there is found all the same.
func TestRowsOfFilesThatAreNotThere(t *testing.T) {
	s := echo(t)
	m := newManager(t)
	var items []Item[int]
	there := map[int]bool{}
	for i := range 6 * longRow {
		items = append(items, Item[int]{Link{URL: fmt.Sprint(s.URL, "/", i), Name: fmt.Sprint(i)}, i})
		if there[i] = i%(3*longRow) >= 2*longRow; there[i] {
			require.NoError(t, m.Download(items[i].URL, items[i].Name).Wait())
		}
	}
	for out := range Each(t.Context(), m, slices.Values(items)) {
		require.NoError(t, out.Err)
		assert.Equal(t, there[out.Value], out.State == CacheHit, out.Value)
	}
}

func TestAPanicAfterARowIsTheLoops(t *testing.T) {
	s := echo(t)
	m := newManager(t)
	items, _ := thereAndNot(t, s.URL, m, 2*longRow)
	seen := 0
	assert.PanicsWithValue(t, "no more", func() {
		for range Each(t.Context(), m, func(yield func(Item[int]) bool) {
			for _, item := range items {
				if !yield(item) {
					return
				}
			}
			panic("no more")
		}) {
			seen++
		}
	})
	assert.Equal(t, len(items), seen, "what was taken is given out before")
}

func TestAPanickingNamingIsTheLoops(t *testing.T) {
	naming := func(string) (string, error) { panic("no name") }
	assert.PanicsWithValue(t, "no name", func() {
		for range Each(t.Context(), newManager(t), Links("https://h/1", "https://h/2"), WithNaming(naming)) {
			t.Error("an outcome of nothing")
		}
	})
}

func TestAPanicInARowEndsItForBoth(t *testing.T) {
	s := echo(t)
	m := newManager(t)
	items, _ := thereAndNot(t, s.URL, m, 2*longRow)
	for range 5 { // one or the other panics
		calls := 0
		naming := func(url string) (string, error) {
			if calls++; calls == 10*longRow {
				panic("no name")
			}
			return Tree(url)
		}
		assert.PanicsWithValue(t, "no name", func() {
			for range Each(t.Context(), m, func(yield func(Item[int]) bool) {
				for i := 0; yield(items[i%(2*longRow)]); i++ {
				}
			}, WithNaming(naming)) {
			}
		})
	}
}

func TestLeavingTheLoopInARowWaitsForTheSequence(t *testing.T) {
	s := echo(t)
	m := newManager(t)
	items, _ := thereAndNot(t, s.URL, m, 2*longRow)
	over := false
	seen := 0
	for range Each(t.Context(), m, func(yield func(Item[int]) bool) {
		defer func() { over = true }()
		for i := 0; yield(items[i%(2*longRow)]); i++ {
		}
	}) {
		if seen++; seen == 10*longRow {
			break
		}
	}
	assert.True(t, over)
}

func TestAnOutcomeIsGivenOutWhileTheSequenceWaits(t *testing.T) {
	s := echo(t)
	m := newManager(t)
	items, _ := thereAndNot(t, s.URL, m, 3)
	seen := make(chan int)
	waiting := func(yield func(Item[int]) bool) {
		for _, item := range items {
			if !yield(item) || <-seen != item.Value {
				return
			}
		}
	}
	n := 0
	for out := range Each(t.Context(), m, waiting) {
		n++
		seen <- out.Value
	}
	assert.Equal(t, len(items), n)
}

// A download may be over the moment it is begun, and its finished hook still at work.
func TestAnOutcomeComesAfterTheFinishedHook(t *testing.T) {
	s := echo(t)
	begun, release := make(chan struct{}), make(chan struct{})
	var over atomic.Bool
	m := newManager(t, dlmanager.WithHooks(dlmanager.Hooks{Finished: func(*dlmanager.Download) {
		close(begun)
		<-release
		for range 1000 {
			runtime.Gosched()
		}
		over.Store(true)
	}}))
	f := newFlight[int](t.Context(), m, false, newConfig(nil))
	item := Item[int]{Link: Link{URL: s.URL + "/file", Name: "file"}}
	d := m.Download(item.URL, item.Name)
	<-begun
	require.False(t, d.IsRunning())
	close(release)
	f.begun(&taken[int]{n: f.line.take(1), item: item}, d, f.line.lane())
	assert.True(t, over.Load())
	f.line.end()
	assert.Equal(t, Written, f.outcomes(f.line.pop())[0].State)
	f.close()
}

// panicsAt is a log that panics at a record.
type panicsAt struct {
	slog.Handler
	left *atomic.Int64
}

func (p panicsAt) Enabled(context.Context, slog.Level) bool { return true }

func (p panicsAt) Handle(context.Context, slog.Record) error {
	if p.left.Add(-1) == 0 {
		panic("no more")
	}
	return nil
}

// A caller's function that panics where downloads begin ends the loop, whatever was taken.
func TestAPanicWhereDownloadsBeginIsTheLoops(t *testing.T) {
	s := echo(t)
	dir := t.TempDir()
	fill, err := dlmanager.NewDownloadManager(dir)
	require.NoError(t, err)
	defer fill.Close()
	const n = 10 * longRow
	j := newJob(t)
	var items []Item[int]
	for i := range n {
		link := Link{URL: fmt.Sprint(s.URL, "/", i), Name: fmt.Sprint(i)}
		require.NoError(t, fill.Download(link.URL, link.Name).Wait())
		items = append(items, Item[int]{link, i})
		_, err := j.Add(link)
		require.NoError(t, err)
	}
	loops := map[string]func(m *dlmanager.DownloadManager){
		"each": func(m *dlmanager.DownloadManager) {
			for range Each(t.Context(), m, slices.Values(items)) {
			}
		},
		"swarm": func(m *dlmanager.DownloadManager) {
			for range Swarm(t.Context(), m, slices.Values(items)) {
			}
		},
		"job": func(m *dlmanager.DownloadManager) { _, _ = j.Run(t.Context(), m, Limits{}, nil) },
	}
	for name, loop := range loops {
		left := new(atomic.Int64)
		left.Store(n / 2)
		m, err := dlmanager.NewDownloadManager(dir, dlmanager.WithLogger(slog.New(panicsAt{slog.DiscardHandler, left})))
		require.NoError(t, err)
		assert.PanicsWithValue(t, "no more", func() { loop(m) }, name)
		require.NoError(t, m.Close())
	}
	report, err := j.Run(t.Context(), fill, Limits{}, nil)
	require.NoError(t, err)
	assert.Zero(t, report.Failed)
	assert.Equal(t, n, j.Stats().Done)
}
