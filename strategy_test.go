package dlmanager

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// at once tries again without a wait, n requests in all.
type atOnce int

func (n atOnce) Next(a Attempt) (time.Duration, bool) { return 0, a.Number < int(n) }

func TestStrategiesWaitAsTheySay(t *testing.T) {
	cut := &TransferError{Op: "read", Err: ErrStalled}
	missing := &StatusError{Code: 404}
	waits := func(s RequestStrategy, err error) (all []float64) {
		for n := 1; ; n++ {
			wait, again := s.Next(Attempt{Number: n, Barren: n, Err: err})
			if !again {
				return all
			}
			all = append(all, wait.Seconds())
		}
	}
	assert.Empty(t, waits(Once{}, cut))
	assert.Equal(t, []float64{60, 60, 60, 60}, waits(Lenient{}, cut))
	assert.Equal(t, []float64{60, 60, 60, 60}, waits(Lenient{}, &StatusError{Code: 403}))
	assert.Empty(t, waits(Lenient{}, missing))
	assert.Equal(t, []float64{.25, .5, 1, 2, 4, 8, 16, 32, 60}, waits(BackOff{}, cut))
	assert.Empty(t, waits(BackOff{}, missing))
	assert.Empty(t, waits(Patient{}, missing))
	got := waits(Patient{}, cut)
	require.Len(t, got, 4)
	for i, most := range []float64{1, 2, 4, 8} {
		assert.InDelta(t, most*3/4, got[i], most/4+1e-9)
	}
	assert.Len(t, waits(Patient{Attempts: 20}, cut), 19)
	_, again := Patient{Attempts: 1}.Next(Attempt{Number: 1, Err: cut})
	assert.False(t, again, "one means one")
	var wait time.Duration
	wait, again = Patient{}.Next(Attempt{Number: 1000, Barren: 0, Err: cut})
	assert.True(t, again, "a request that brings something starts the count anew")
	assert.LessOrEqual(t, wait, firstWait)
}

func TestACutDownloadGoesOnWhereItWas(t *testing.T) {
	o := testorigin.New(t)
	const size = 1_000_000
	for name, cut := range map[string]testorigin.Option{
		"cut": testorigin.CutAfter(300_000), "reset": testorigin.All(testorigin.ResetAfter(300_000)),
	} {
		t.Run(name, func(t *testing.T) {
			path := "/" + name
			url := o.ServeSize(path, size, testorigin.ETag(`"v1"`), testorigin.Sequence(cut, cut, testorigin.OK()))
			var last, back int64
			var retries []Attempt
			m := newManager(t, WithSizeLimit(10*size), WithStrategy(atOnce(5)), WithHooks(Hooks{
				Retrying: func(_ *Download, a Attempt, _ time.Duration) { retries = append(retries, a) },
			}), WithProgress(func(_ *Download, current, total int64) {
				if current < last {
					back++
				}
				last = current
				assert.EqualValues(t, size, total)
			}))
			d := m.Download(url, "name")
			require.NoError(t, d.Wait())
			assert.Zero(t, back, "what has come is not fetched again")
			assert.EqualValues(t, size, last)
			assert.Equal(t, 3, d.Result().Attempts)
			assert.Len(t, retries, 2)
			requireSame(t, size, d.Dest())
			assert.Equal(t, crcOf(t, d.Dest()), d.Result().CRC32C)
			for _, r := range o.Requests(path)[1:] {
				assert.Equal(t, `"v1"`, r.Header.Get("If-Range"))
				assert.NotEqual(t, "bytes=0-", r.Header.Get("Range"))
			}
			u := m.limit.Usage()
			assert.Zero(t, u.Reserved)
			assert.EqualValues(t, size, u.Bytes)
		})
	}
}

func TestAStrategyIsAskedWithTheFacts(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 1000, testorigin.ETag(`"v1"`), testorigin.Sequence(
		testorigin.Status(503, "busy"), testorigin.CutAfter(400), testorigin.Drop(), testorigin.OK()))
	var asked []string
	d := NewDownload(url, filepath.Join(t.TempDir(), "file"), WithStrategy(strategyFunc(func(a Attempt) (time.Duration, bool) {
		_, status := errors.AsType[*StatusError](a.Err)
		asked = append(asked, fmt.Sprint(a.Number, " ", a.Barren, " ", a.Offset, " ", status))
		return 0, true
	})))
	require.NoError(t, d.Wait())
	assert.Equal(t, []string{"1 1 0 true", "2 0 400 false", "3 1 400 false"}, asked)
	assert.Equal(t, 4, d.Result().Attempts)
	requireSame(t, 1000, d.Dest())
}

type strategyFunc func(Attempt) (time.Duration, bool)

func (f strategyFunc) Next(a Attempt) (time.Duration, bool) { return f(a) }

func TestPermanentFailuresAreNotTriedAgain(t *testing.T) {
	o := testorigin.New(t)
	for path, opt := range map[string]testorigin.Option{
		"/403": testorigin.Status(403, ""), "/404": testorigin.Status(404, ""), "/gzip": testorigin.Gzip(),
	} {
		require.Error(t, NewDownload(o.ServeSize(path, 1000, opt), filepath.Join(t.TempDir(), "file")).Wait())
		assert.Equal(t, 1, o.Count(path))
	}
}

func TestWhoWaitsToTryAgainLeavesItsPlace(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithMaxConcurrent(1))
	waiting := make(chan struct{})
	first := m.Download(o.Serve("/busy", nil, testorigin.Status(503, ""), testorigin.RetryAfter("3600")), "busy",
		WithStrategy(atOnce(5)), WithHooks(Hooks{Retrying: func(*Download, Attempt, time.Duration) { close(waiting) }}))
	<-waiting
	other := testorigin.New(t) // another host: this one is held off
	require.NoError(t, m.Download(other.Serve("/file", []byte("x")), "file").Wait())
	assert.True(t, first.IsRunning())
	first.Interrupt()
	require.ErrorIs(t, first.Wait(), ErrInterrupted)
}

func TestAFullDiskIsNotTriedAgain(t *testing.T) {
	var asked atomic.Int32
	o := testorigin.New(t)
	d := NewDownload(o.Serve("/file", []byte("x")), filepath.Join(t.TempDir(), "file"),
		WithProgress(func(*Download, int64, int64) { panic("boom") }),
		WithStrategy(strategyFunc(func(Attempt) (time.Duration, bool) { asked.Add(1); return 0, true })))
	require.ErrorContains(t, d.Wait(), "boom")
	assert.Zero(t, asked.Load(), "only the network and the server get another chance")
}

func TestAPanickingStrategyFailsItsDownload(t *testing.T) {
	o := testorigin.New(t)
	d := NewDownload(o.Serve("/file", nil, testorigin.Status(503, "")), filepath.Join(t.TempDir(), "file"),
		WithStrategy(strategyFunc(func(Attempt) (time.Duration, bool) { panic("boom") })))
	_, ok := errors.AsType[*StatusError](d.Wait())
	assert.True(t, ok)
}

func TestAPartialThatSomebodyChangedBeginsAnew(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 1000, testorigin.ETag(`"v1"`), testorigin.Sequence(testorigin.CutAfter(400), testorigin.OK()))
	var m *DownloadManager
	m = newManager(t, WithStrategy(atOnce(3)), WithHooks(Hooks{Retrying: func(*Download, Attempt, time.Duration) {
		partials, err := filepath.Glob(filepath.Join(m.dir.Root(), ".dlm", "partial", "*.part"))
		assert.NoError(t, err)
		for _, p := range partials {
			assert.NoError(t, os.Truncate(p, 0))
		}
	}}))
	d := m.Download(url, "name")
	require.NoError(t, d.Wait())
	requireSame(t, 1000, d.Dest())
	assert.Equal(t, crcOf(t, d.Dest()), d.Result().CRC32C)
}

func TestARedirectThatLeadsElsewhereIsNoSplice(t *testing.T) {
	o := testorigin.New(t)
	date := time.Unix(1, 0)
	o.Serve("/v1", slices.Repeat([]byte("A"), 1000), testorigin.LastModified(date), testorigin.ETag(`"1-3e8"`), testorigin.CutAfter(400))
	o.Serve("/v2", slices.Repeat([]byte("B"), 1000), testorigin.LastModified(date), testorigin.ETag(`"1-3e8"`))
	url := o.Serve("/latest", nil, testorigin.Sequence(testorigin.Redirect("/v1", 302), testorigin.Redirect("/v2", 302)))
	d := newManager(t, WithStrategy(atOnce(3))).Download(url, "name")
	require.NoError(t, d.Wait())
	assert.NotContains(t, readFile(t, d.Dest()), "A")
}
