package batch

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestDuplicatesATornLineAndDisorderResumeRight(t *testing.T) {
	o := testorigin.New(t)
	slow := o.ServeSize("/slow", 1000, testorigin.Sequence(testorigin.SilentAfter(10), testorigin.OK()))
	text := slow + "\n"
	for i := range 20 {
		url := o.Serve(fmt.Sprint("/", i%10), fmt.Append(nil, i%10))
		text += url + "\n"
	}
	path := filepath.Join(t.TempDir(), "links.txt")
	torn := o.URL("/tor")
	o.Serve("/torn", []byte("torn"))
	o.Serve("/tor", nil, testorigin.Status(http.StatusNotFound, ""))
	require.NoError(t, os.WriteFile(path, []byte(text+torn), 0o600))

	j, m := newJob(t), newManager(t)
	ctx, stop := context.WithCancel(t.Context())
	_, err := j.AddList(ctx, openList(t, path))
	require.NoError(t, err)
	told := 0
	report, err := j.Run(ctx, m, Limits{}, func(Outcome[Link]) {
		if told++; told == 11 { // all but the first one
			stop()
		}
	})
	require.NoError(t, err)
	assert.Equal(t, Report{Reason: ReasonStopped, Written: 10, Failed: 1, Stopped: 1, Left: 1, Bytes: report.Bytes}, report)

	require.NoError(t, os.WriteFile(path, []byte(text+torn+"n\n"+o.URL("/3")+"\n"), 0o600))
	j = reopen(t, j)
	_, err = j.AddList(t.Context(), openList(t, path))
	require.NoError(t, err)
	report = run(t, j, m)
	assert.Equal(t, ReasonDone, report.Reason)
	assert.Equal(t, 2, report.Written, "the first one, and the last one as it is now")
	for i := range 10 {
		assert.Equal(t, 1, o.Count(fmt.Sprint("/", i)))
	}
	assert.Equal(t, 1, o.Count("/torn"))
}

func openList(t *testing.T, path string) *LinkList {
	l, err := OpenLinkList(path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

func TestWhatIsUpToDateIsLeftAndWhatIsOldIsRevalidated(t *testing.T) {
	o := testorigin.New(t)
	urls := []string{
		o.Serve("/tagged", []byte("tagged"), testorigin.ETag(`"v1"`)),
		o.Serve("/dated", []byte("dated"), testorigin.LastModified(time.Now().Add(-time.Hour))),
	}
	m := newManager(t)
	for _, round := range []struct {
		age    time.Duration
		origin dlmanager.Origin
		asked  int // by then
	}{
		{24 * time.Hour, dlmanager.OriginFetched, 1},
		{24 * time.Hour, dlmanager.OriginCached, 1},
		{0, dlmanager.OriginRevalidated, 2},
	} {
		fresh := WithDownload(dlmanager.WithFreshness(dlmanager.FreshFor(round.age)))
		outcomes := 0
		for out := range Swarm(t.Context(), m, Links(urls...), fresh) {
			outcomes++
			require.NoError(t, out.Err)
			assert.Equal(t, round.origin, out.Result.Origin, out.URL)
			assert.Equal(t, round.origin == dlmanager.OriginFetched, out.State == Written)
			if round.origin == dlmanager.OriginRevalidated {
				assert.Zero(t, out.Result.WireBytes)
			}
		}
		assert.Equal(t, 2, outcomes)
		assert.Equal(t, round.asked, o.Count("/tagged"))
		assert.Equal(t, round.asked, o.Count("/dated"))
	}
}

func TestDelaysAndRetryAfterHoldTheirHostAlone(t *testing.T) {
	busy, free := testorigin.New(t), testorigin.New(t)
	var urls []string
	for i := range 20 {
		path := fmt.Sprint("/", i)
		urls = append(urls, busy.Serve(path, nil, testorigin.Status(http.StatusServiceUnavailable, ""), testorigin.RetryAfter("1000")))
		urls = append(urls, free.Serve(path, []byte("x")))
	}
	there := 0
	for out := range Each(t.Context(), newManager(t, dlmanager.WithMaxConcurrent(2), dlmanager.WithStrategy(dlmanager.Patient{})), Links(urls...)) {
		require.NoError(t, out.Err)
		if there++; there == 20 {
			break
		}
	}
	asked := 0
	for i := range 20 {
		asked += busy.Count(fmt.Sprint("/", i))
	}
	assert.LessOrEqual(t, asked, 2, "one, and who was on its way by then")

	there = 0
	m := newManager(t, dlmanager.WithRequestDelay(time.Hour))
	for out := range Each(t.Context(), m, Links(free.Serve("/a", nil), free.Serve("/b", nil), busy.Serve("/a", nil), busy.Serve("/b", nil))) {
		require.NoError(t, out.Err)
		if there++; there == 2 { // one of each host
			break
		}
	}
	assert.Equal(t, []int{1, 1}, []int{free.Count("/a"), busy.Count("/a")})
	assert.Zero(t, free.Count("/b")+busy.Count("/b"))
}
