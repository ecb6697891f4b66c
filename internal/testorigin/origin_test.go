package testorigin_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestServesLikeAGoodServer(t *testing.T) {
	o := testorigin.New(t)
	u := o.Serve("/f", []byte("0123456789"), testorigin.ETag(`"v1"`))
	assert.Equal(t, o.URL("/f"), u)

	a := get(t, o, u)
	require.NoError(t, a.err)
	assert.Equal(t, 200, a.StatusCode)
	assert.Equal(t, "0123456789", a.body)
	assert.EqualValues(t, 10, a.ContentLength)
	assert.Equal(t, "bytes", a.Header.Get("Accept-Ranges"))

	a = get(t, o, u, "Range", "bytes=4-", "If-Range", `"v1"`)
	assert.Equal(t, 206, a.StatusCode)
	assert.Equal(t, "bytes 4-9/10", a.Header.Get("Content-Range"))
	assert.Equal(t, "456789", a.body)

	a = get(t, o, u, "Range", "bytes=4-", "If-Range", `"v0"`)
	assert.Equal(t, 200, a.StatusCode)
	assert.Equal(t, "0123456789", a.body)

	a = get(t, o, u, "Range", "bytes=10-")
	assert.Equal(t, 416, a.StatusCode)
	assert.Equal(t, "bytes */10", a.Header.Get("Content-Range"))

	a = get(t, o, u, "If-None-Match", `"v1"`)
	assert.Equal(t, 304, a.StatusCode)
	assert.Empty(t, a.body)

	a = ask(t, o, http.MethodHead, u)
	assert.EqualValues(t, 10, a.ContentLength)
	assert.Empty(t, a.body)
}

func TestEmptyBody(t *testing.T) {
	o := testorigin.New(t)
	a := get(t, o, o.Serve("/f", nil))
	require.NoError(t, a.err)
	assert.EqualValues(t, 0, a.ContentLength)
	assert.Equal(t, 200, a.StatusCode)
}

func TestUnknownPathIs404AndRecorded(t *testing.T) {
	o := testorigin.New(t)
	assert.Equal(t, 404, get(t, o, o.URL("/none")).StatusCode)
	assert.Equal(t, 1, o.Count("/none"))
}

func TestServeAgainReplaces(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/f", []byte("old"))
	u := o.Serve("/f", []byte("new"))
	assert.Equal(t, "new", get(t, o, u).body)
}

func TestRequestsAreRecorded(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/f", []byte("x"))
	r := request(t, http.MethodGet, o.AltURL("/f?a=1&b=2"), "X-Key", "k")
	r.SetBasicAuth("me", "secret")
	response, err := o.Client().Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	get(t, o, o.URL("/f"))

	got := o.Requests("/f")
	require.Len(t, got, 2)
	assert.Equal(t, 2, o.Count("/f"))
	alt, err := url.Parse(o.AltURL(""))
	require.NoError(t, err)
	assert.Equal(t, "localhost", alt.Hostname())
	assert.Equal(t, alt.Host, got[0].Host)
	assert.Equal(t, "GET", got[0].Method)
	assert.Equal(t, "/f", got[0].Path)
	assert.Equal(t, "a=1&b=2", got[0].RawQuery)
	assert.Equal(t, "k", got[0].Header.Get("X-Key"))
	assert.True(t, got[0].HasAuth)
	assert.Equal(t, "me", got[0].User)
	assert.Equal(t, "secret", got[0].Password)
	assert.False(t, got[1].HasAuth)
}

func TestMaxConcurrentAndArrived(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	u := o.Serve("/f", []byte("x"), testorigin.Gate(gate))
	arrived := o.Arrived("/f", 3)
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() { assert.Equal(t, "x", get(t, o, u).body) })
	}
	<-arrived
	<-o.Arrived("/f", 2) // as good when it was long ago
	select {
	case <-o.Arrived("/f", 4):
		t.Error("a fourth request")
	default:
	}
	close(gate)
	clients.Wait()
	assert.Equal(t, 3, o.MaxConcurrent())
}

func TestMaxConcurrentOfOneAfterAnother(t *testing.T) {
	o := testorigin.New(t)
	for _, u := range []string{
		o.ServeSize("/long", 100_000),
		o.ServeSize("/close", 100_000, testorigin.CloseDelimited()),
		o.ServeSize("/cut", 100_000, testorigin.CutAfter(70_000)),
		o.ServeSize("/reset", 100_000, testorigin.ResetAfter(10)),
		o.Serve("/error", nil, testorigin.Status(500, "no")),
	} {
		for range 20 {
			get(t, o, u, "Connection", "close")
		}
	}
	assert.Equal(t, 1, o.MaxConcurrent())
}

func TestCloseEndsWaitingResponses(t *testing.T) {
	o := testorigin.New(t)
	before := o.Serve("/before", []byte("x"), testorigin.Silent())
	after := o.Serve("/after", []byte("x"), testorigin.SilentAfter(0))
	raw := o.Serve("/raw", []byte("xy"), testorigin.CloseDelimited(), testorigin.SilentAfter(1))
	endless := o.Serve("/endless", nil, testorigin.Endless())

	failed := make(chan error, 4)
	for _, u := range []string{before, after, raw, endless} {
		r := request(t, http.MethodGet, u)
		go func() {
			response, err := o.Client().Do(r)
			if err == nil {
				_, err = io.Copy(io.Discard, response.Body)
				err = errors.Join(err, response.Body.Close())
			}
			failed <- err
		}()
	}
	for _, path := range []string{"/before", "/after", "/raw", "/endless"} {
		<-o.Arrived(path, 1)
	}
	o.Close()
	o.Close()
	ends := 0
	for range 4 {
		if err := <-failed; err != nil {
			ends++
		}
	}
	assert.GreaterOrEqual(t, ends, 3) // the close-delimited one ends without an error
	_, err := o.Client().Get(before)
	assert.Error(t, err)
}

func TestTLS(t *testing.T) {
	o := testorigin.NewTLS(t)
	u := o.Serve("/f", []byte("x"))
	a := get(t, o, u)
	assert.Equal(t, "x", a.body)
	assert.Equal(t, "HTTP/1.1", a.Proto)
	assert.Equal(t, "x", get(t, o, o.AltURL("/f")).body)
	require.NotNil(t, o.RootCAs())

	stranger := &http.Client{Transport: &http.Transport{}}
	_, err := stranger.Get(u)
	assert.ErrorContains(t, err, "certificate")

	a = get(t, o, o.Serve("/raw", []byte("xyz"), testorigin.CloseDelimited()))
	require.NoError(t, a.err)
	assert.Equal(t, "xyz", a.body)
	a = get(t, o, o.Serve("/reset", []byte("xyz"), testorigin.ResetAfter(1)))
	assert.Error(t, a.err)
}

func TestHTTP2(t *testing.T) {
	o := testorigin.NewHTTP2(t)
	a := get(t, o, o.Serve("/f", []byte("x"), testorigin.NoLength()))
	assert.Equal(t, "HTTP/2.0", a.Proto)
	assert.Equal(t, "x", a.body)
	assert.EqualValues(t, -1, a.ContentLength)
	a = get(t, o, o.Serve("/cut", []byte("xyz"), testorigin.CutAfter(1)))
	assert.Error(t, a.err)
	assert.Equal(t, "x", a.body)
}

// complaints is a test that is not told.
type complaints struct {
	testing.TB
	mu  sync.Mutex
	got int
}

func (c *complaints) Errorf(string, ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got++
}

func TestHTTP2RefusesRawOptions(t *testing.T) {
	c := &complaints{TB: t}
	o := testorigin.NewHTTP2(c)
	_, err := o.Client().Get(o.Serve("/f", []byte("x"), testorigin.CloseDelimited()))
	assert.Error(t, err)
	o.Close()
	assert.Equal(t, 1, c.got)
}
