package dlmanager

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestRetryAfterHoldsItsHostAndNoOther(t *testing.T) {
	o, other := testorigin.New(t), testorigin.New(t)
	m := newManager(t)
	busy := m.Download(o.Serve("/busy", nil, testorigin.Status(503, ""), testorigin.RetryAfter("3600")), "busy")
	require.Error(t, busy.Wait(), "that it gave up itself does not matter")
	held := m.Download(o.Serve("/held", []byte("x")), "held")
	require.NoError(t, m.Download(other.Serve("/file", []byte("x")), "file").Wait())
	assert.Equal(t, StateQueued, held.Progress().State)
	assert.False(t, isIn(m.pendingOf(held).ticket))
	held.Cancel() // ends the wait at once
	require.ErrorIs(t, held.Wait(), ErrCanceled)
	assert.Zero(t, o.Count("/held"))
	require.Error(t, m.Wait())
}

func TestTheHostThatAnsweredIsHeld(t *testing.T) {
	o, other := testorigin.New(t), testorigin.New(t)
	m := newManager(t)
	to := other.Serve("/busy", nil, testorigin.Status(429, ""), testorigin.RetryAfter("3600"))
	require.Error(t, m.Download(o.Serve("/go", nil, testorigin.Redirect(to, 302)), "busy").Wait())
	held := m.Download(other.Serve("/held", []byte("x")), "held")
	require.NoError(t, m.Download(o.Serve("/file", []byte("x")), "file").Wait(), "it redirects, and is not busy")
	assert.False(t, isIn(m.pendingOf(held).ticket))
	held.Cancel()
	require.ErrorIs(t, held.Wait(), ErrCanceled)
	require.Error(t, m.Wait())
}

func TestWhatIsThereIsFoundWhileItsHostIsHeldOff(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	url := o.Serve("/file", []byte("x"))
	require.NoError(t, m.Download(url, "file").Wait())
	require.Error(t, m.Download(o.Serve("/busy", nil, testorigin.Status(503, ""), testorigin.RetryAfter("3600")), "busy").Wait())
	require.NoError(t, m.Download(url, "file").Wait())
	require.Error(t, m.Wait())
}

// fakeServer answers without a network, so that the clock may be a fake one.
type fakeServer struct {
	began  time.Time
	busy   map[string]string // path → Retry-After, once
	events events
}

func (s *fakeServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.events.add(fmt.Sprint(r.URL.Host+r.URL.Path, " ", time.Since(s.began)))
	resp := &http.Response{
		StatusCode: 200, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader("x")), ContentLength: 1, Request: r,
	}
	if wait := s.busy[r.URL.Path]; wait != "" {
		delete(s.busy, r.URL.Path)
		resp.StatusCode, resp.Status = 503, "503 Service Unavailable"
		resp.Header.Set("Retry-After", wait)
	}
	return resp, nil
}

// inAFakeWorld runs the test with a manager whose server and clock are fake.
func inAFakeWorld(t *testing.T, test func(t *testing.T, s *fakeServer, m *DownloadManager), opts ...Option) {
	dir := filepath.Join(t.TempDir(), "cache")
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{began: time.Now(), busy: map[string]string{}}
		m := managerAt(t, dir, append([]Option{WithTransport(s)}, opts...)...)
		test(t, s, m)
	})
}

func TestAHeldHostIsAskedAgainWhenItSaid(t *testing.T) {
	inAFakeWorld(t, func(t *testing.T, s *fakeServer, m *DownloadManager) {
		s.busy["/1"] = "60"
		m.Download("http://h/1", "1")
		synctest.Wait()
		m.Download("http://h/2", "2")
		m.Download("http://H:80/3", "3")
		m.Download("http://g/1", "g")
		require.NoError(t, m.Wait())
		all := s.events.all()
		assert.Equal(t, []string{"h/1 0s", "g/1 0s"}, all[:2])
		assert.ElementsMatch(t, []string{"h/1 1m0s", "h/2 1m0s", "H:80/3 1m0s"}, all[2:])
	}, WithStrategy(atOnce(2)))
}

func TestAHostIsHeldForADayAtMost(t *testing.T) {
	inAFakeWorld(t, func(t *testing.T, s *fakeServer, m *DownloadManager) {
		s.busy["/1"] = "99999999999"
		m.Download("http://h/1", "1")
		synctest.Wait()
		require.NoError(t, m.Download("http://h/2", "2").Wait())
		assert.Equal(t, []string{"h/1 0s", "h/2 24h0m0s"}, s.events.all())
		require.Error(t, m.Wait())
	})
}

func TestTheDelayLiesBetweenTheStartsOfDownloads(t *testing.T) {
	inAFakeWorld(t, func(t *testing.T, s *fakeServer, m *DownloadManager) {
		for _, url := range []string{"http://h/1", "http://h/2", "http://g/1", "http://h/3"} {
			m.Download(url, url[len("http://"):])
		}
		require.NoError(t, m.Wait())
		all := s.events.all()
		assert.ElementsMatch(t, []string{"h/1 0s", "g/1 0s"}, all[:2])
		assert.Equal(t, []string{"h/2 3s", "h/3 6s"}, all[2:])
	}, WithRequestDelay(3*time.Second))
}

func TestAtMostSoManyOfOneHost(t *testing.T) {
	a, b := testorigin.New(t), testorigin.New(t)
	m := newManager(t, WithMaxConcurrent(6), WithMaxPerHost(2))
	gate := make(chan struct{})
	for i := range 10 {
		path := fmt.Sprint("/a", i)
		m.Download(a.ServeSize(path, 1000, testorigin.Gate(gate)), path[1:])
	}
	for i := range 10 {
		path := fmt.Sprint("/b", i)
		m.Download(b.ServeSize(path, 1000), path[1:])
	}
	<-b.Arrived("/b9", 1) // past all of a, which are stuck
	close(gate)
	require.NoError(t, m.Wait())
	assert.LessOrEqual(t, a.MaxConcurrent(), 2)
	assert.LessOrEqual(t, b.MaxConcurrent(), 2)
}

func TestTheHighestPriorityIsFetchedFirst(t *testing.T) {
	o := testorigin.New(t)
	var order events
	m := newManager(t, WithMaxConcurrent(1), WithPriority(1))
	first := m.Download(o.Serve("/first", nil, testorigin.Silent()), "first")
	<-o.Arrived("/first", 1)
	ask := func(name string, opts ...DownloadOption) {
		m.Download(o.Serve("/"+name, []byte("x")), name, append(opts, order.begun())...)
	}
	ask("low", WithPriority(-1))
	ask("usual")
	ask("high", WithPriority(2))
	ask("usual2")
	ask("high2", WithPriority(2))
	m.Download(o.URL("/low"), "low", WithPriority(9)) // joins
	first.Cancel()
	require.NoError(t, m.Wait())
	assert.Equal(t, []string{"high", "high2", "usual", "usual2", "low"}, order.all())
}
