package dlmanager

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestServerSaysHowLongToWait(t *testing.T) {
	in2Hours := time.Now().Add(2 * time.Hour).UTC().Format(http.TimeFormat)
	for field, c := range map[string]struct{ least, most time.Duration }{
		"3600":                          {time.Hour, time.Hour},
		in2Hours:                        {time.Hour, 2 * time.Hour},
		"999999999999":                  {24 * time.Hour, 24 * time.Hour},
		"Fri, 31 Dec 9999 23:59:59 GMT": {24 * time.Hour, 24 * time.Hour},
	} {
		for _, code := range []int{429, 503} {
			t.Run(fmt.Sprint(code, " ", field), func(t *testing.T) {
				o := testorigin.New(t)
				waits := make(chan time.Duration, 1)
				m := newManager(t, WithStrategy(shortly(5)))
				d := m.Download(o.Serve("/file", nil, testorigin.Status(code, ""), testorigin.RetryAfter(field)), "file",
					WithHooks(Hooks{Retrying: func(_ *Download, _ Attempt, wait time.Duration) { waits <- wait }}))
				wait := <-waits
				assert.GreaterOrEqual(t, wait, c.least)
				assert.LessOrEqual(t, wait, c.most)
				d.Cancel() // ends the wait at once
				require.ErrorIs(t, d.Wait(), ErrCanceled)
				require.NoFileExists(t, d.Dest())
				assert.Equal(t, []string{""}, asked(t, o, "/file"))
			})
		}
	}
}

func TestServerSaysNothingSensibleAboutTheWait(t *testing.T) {
	for _, field := range []string{"", "0", "-5", "soon", "1.5", "999999999999999999999999", "Thu, 01 Jan 1970 00:00:00 GMT"} {
		for _, code := range []int{429, 503} {
			t.Run(fmt.Sprint(code, " ", field), func(t *testing.T) {
				o := testorigin.New(t)
				busy := testorigin.All(testorigin.Status(code, "busy"), testorigin.RetryAfter(field))
				fetchWhole(t, contentOf(small), o.ServeSize("/file", small, testorigin.Sequence(busy, busy, testorigin.OK())))
				assert.Equal(t, 3, o.Count("/file"))

				err := fetchInVain(t, o.Serve("/always", nil, busy))
				status, ok := errors.AsType[*StatusError](err)
				require.True(t, ok)
				assert.Equal(t, code, status.Code)
				assert.Zero(t, status.RetryAfter)
				assert.Equal(t, 3, o.Count("/always"))
			})
		}
	}
}

func TestServerIsBusyMidway(t *testing.T) {
	o := testorigin.New(t)
	url := cutThen(o, "/file", tagged, testorigin.Status(503, "busy"), testorigin.All(testorigin.Status(429, ""), testorigin.RetryAfter("0")), tagged)
	r := fetchWhole(t, contentOf(small), url)
	rest := `bytes=400- if "v1"`
	assert.Equal(t, []string{"", rest, rest, rest}, asked(t, o, "/file"))
	assert.EqualValues(t, small, r.WireBytes)
}

// fetchBeside downloads 8 MiB over four connections. The first one is held after
// 64 KiB, until the others, to which opts apply, have been tried and given up.
func fetchBeside(t testing.TB, o *testorigin.Origin, opts ...testorigin.Option) Result {
	t.Helper()
	gate := make(chan struct{})
	url := o.ServeSize("/file", 8*mib, tagged, testorigin.All(opts...), testorigin.Sequence(testorigin.GateAfter(64<<10, gate), testorigin.OK()))
	m := newManager(t)
	d := m.Download(url, "file", WithConnections(4))
	<-o.Arrived("/file", 4)
	require.Eventually(t, func() bool { return placesOf(m, d) == 1 }, time.Minute, time.Millisecond)
	close(gate)
	r := waitWhole(t, contentOf(8*mib), m, d)
	all := asked(t, o, "/file")
	require.Len(t, all, 4, "who was refused does not insist")
	for _, one := range all[1:] {
		assert.Regexp(t, `^bytes=\d+-\d* if "v1"$`, one)
	}
	return r
}

// placesOf returns how many places of its host are taken.
func placesOf(m *DownloadManager, d *Download) int {
	m.queue.mu.Lock()
	defer m.queue.mu.Unlock()
	h := m.queue.hosts[hostKey(d.url)]
	return h.running + h.extra
}

func TestServerAllowsOneConnection(t *testing.T) {
	for _, code := range []int{503, 403, 429} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			o := testorigin.New(t)
			r := fetchBeside(t, o, testorigin.OneAtATime(code))
			assert.Equal(t, 1, r.Attempts, "the first connection is not to blame")
			assert.EqualValues(t, 8*mib, r.WireBytes)
		})
	}
}

func TestTheWaitThatASecondConnectionIsToldHoldsTheHost(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	url := o.ServeSize("/file", 8*mib, tagged, testorigin.Sequence(testorigin.GateAfter(64<<10, gate),
		testorigin.All(testorigin.Status(429, ""), testorigin.RetryAfter("3600")), testorigin.OK()))
	m := newManager(t)
	d := m.Download(url, "file", WithConnections(2))
	<-o.Arrived("/file", 2)
	require.Eventually(t, func() bool { return placesOf(m, d) == 1 }, time.Minute, time.Millisecond)
	close(gate)
	require.NoError(t, d.Wait(), "the first connection goes on")
	held := m.Download(o.Serve("/held", []byte("x")), "held")
	assert.False(t, isIn(m.pendingOf(held).ticket))
	held.Cancel()
	require.ErrorIs(t, held.Wait(), ErrCanceled)
}

func TestServerResetsEveryConnection(t *testing.T) {
	patient := WithStrategy(strategyFunc(func(a Attempt) (time.Duration, bool) { return 0, IsTemporary(a.Err) && a.Barren < 50 }))
	o := testorigin.New(t)
	r := fetchWhole(t, contentOf(4*mib), o.ServeSize("/file", 4*mib, tagged, testorigin.ResetAfter(500_000)), patient)
	assert.EqualValues(t, 4*mib, r.WireBytes, "what has come is not fetched again")
	all := asked(t, o, "/file")
	assert.GreaterOrEqual(t, len(all), 9)
	for _, one := range all[1:] {
		assert.Regexp(t, `^bytes=\d+- if "v1"$`, one)
	}
}

func TestServerResetsEveryConnectionAndGivesNothingToGoOnBy(t *testing.T) {
	o := testorigin.New(t)
	requireCut(t, fetchInVain(t, o.ServeSize("/file", small, testorigin.ResetAfter(half))))
	assert.Equal(t, []string{"", "", ""}, asked(t, o, "/file"))
	requireCut(t, fetchInVain(t, o.Serve("/dropped", nil, testorigin.Drop())))
}

func TestAPartialFileThatSomebodyCutsWhileItsDownloadWaitsIsBegunAnew(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	url := o.ServeSize("/file", 8*mib, tagged, testorigin.Sequence(
		testorigin.GateAfter(64<<10, gate), testorigin.CutAfter(mib), testorigin.Status(503, ""), testorigin.OK()))
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir)
	cut := 0
	d := m.Download(url, "file", WithConnections(2), WithHooks(Hooks{Retrying: func(*Download, Attempt, time.Duration) {
		parts, err := filepath.Glob(filepath.Join(dir, ".dlm", "partial", "*.part"))
		require.NoError(t, err)
		for _, p := range parts {
			require.NoError(t, os.Truncate(p, 0))
			cut++
		}
	}}))
	<-o.Arrived("/file", 2)
	require.Eventually(t, func() bool { return placesOf(m, d) == 1 }, time.Minute, time.Millisecond)
	close(gate)
	require.NoError(t, d.Wait())
	require.Positive(t, cut)
	requireSame(t, 8*mib, d.Dest())
}
