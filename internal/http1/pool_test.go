//go:build unix

package http1

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/ending"
)

// together makes n requests whose bodies are open at once.
func together(t *testing.T, tr http.RoundTripper, url string, n int) {
	var bodies []io.ReadCloser
	for range n {
		resp, err := tr.RoundTrip(newGet(t, t.Context(), url))
		require.NoError(t, err)
		bodies = append(bodies, resp.Body)
	}
	for _, b := range bodies {
		_, err := io.Copy(io.Discard, b)
		require.NoError(t, err)
		require.NoError(t, b.Close())
	}
}

func TestSoManyConnectionsAreKept(t *testing.T) {
	s := serve(t, always(hello, stay))
	inBoth(t, func(t *testing.T, tr closer, base *http.Transport) {
		before := s.conns.Load()
		together(t, tr, s.url, 20)
		require.EqualValues(t, 20, s.conns.Load()-before)
		together(t, tr, s.url, 16)
		require.EqualValues(t, 20, s.conns.Load()-before)
		together(t, tr, s.url, 17)
		require.EqualValues(t, 21, s.conns.Load()-before)
	})
}

func TestEachAddressHasItsOwnConnections(t *testing.T) {
	a, b := serve(t, always(hello, stay)), serve(t, always(hello, stay))
	inBoth(t, func(t *testing.T, tr closer, _ *http.Transport) {
		beforeA, beforeB := a.conns.Load(), b.conns.Load()
		for range 3 {
			exchange(tr, newGet(t, t.Context(), a.url))
			exchange(tr, newGet(t, t.Context(), b.url))
		}
		require.EqualValues(t, 1, a.conns.Load()-beforeA)
		require.EqualValues(t, 1, b.conns.Load()-beforeB)
	})
}

// Nothing but the time-out closes the connection that the server waits for.
func TestAnIdleConnectionIsClosedAfterAWhile(t *testing.T) {
	s := serve(t, always(hello, stay))
	base := newBase()
	base.IdleConnTimeout = time.Millisecond
	tr := New(base)
	together(t, tr, s.url, 3)
	for range 3 {
		<-s.ended
	}
	require.Equal(t, "hello", exchange(tr, newGet(t, t.Context(), s.url)).Body)
	tr.CloseIdleConnections()
}

// idleConn returns a connection for a pool, its other end, and what reports whether it
// is closed.
func idleConn(t *testing.T, p *pool, addr string) (c *conn, theirs net.Conn, closed func() bool) {
	ours, theirs := socketPair(t)
	t.Cleanup(func() { _ = theirs.Close() })
	raw, err := ours.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	return &conn{Conn: ours, pool: p, addr: addr, raw: raw}, theirs, func() bool { return raw.Control(func(uintptr) {}) != nil }
}

func TestThePoolForgetsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{idle: map[string][]*conn{}, most: 2, timeout: 90 * time.Second}
		a, _, aClosed := idleConn(t, p, "a")
		b, _, bClosed := idleConn(t, p, "a")
		c, _, cClosed := idleConn(t, p, "c")
		require.True(t, p.put(a))
		time.Sleep(60 * time.Second)
		require.True(t, p.put(b))
		require.True(t, p.put(c))
		require.False(t, p.put(&conn{addr: "a"}), "two are kept of each")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.True(t, aClosed())
		require.False(t, bClosed())
		require.Same(t, b, p.take("a"))
		require.Nil(t, p.take("a"))
		time.Sleep(60 * time.Second)
		synctest.Wait()
		require.False(t, bClosed(), "it is in use")
		require.True(t, cClosed())
		require.Empty(t, p.idle)
		require.Nil(t, p.timer)
		require.True(t, p.put(b))
		p.close()
		require.True(t, bClosed())
		require.Nil(t, p.timer)
		require.False(t, p.put(&conn{addr: "a"}))
		require.Nil(t, p.take("a"))
		require.True(t, p.put(&conn{Conn: a.Conn, addr: "a"}), "there was a request since")
		p.close()
	})
}

// What a server has closed, or sent unasked, does not wait for the next request.
func TestThePoolLooksWhetherConnectionsAreQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{idle: map[string][]*conn{}, most: 3} // without a time-out
		a, aEnd, aClosed := idleConn(t, p, "a")
		b, bEnd, bClosed := idleConn(t, p, "a")
		c, _, cClosed := idleConn(t, p, "a")
		require.True(t, p.put(a))
		require.True(t, p.put(b))
		require.True(t, p.put(c))
		require.NoError(t, aEnd.Close())
		_, err := bEnd.Write([]byte("x"))
		require.NoError(t, err)
		time.Sleep(lookEvery)
		synctest.Wait()
		require.True(t, aClosed())
		require.True(t, bClosed())
		require.False(t, cClosed())
		time.Sleep(time.Hour)
		require.Same(t, c, p.take("a"))
		require.NoError(t, c.Close())
		time.Sleep(lookEvery)
		synctest.Wait()
		require.Empty(t, p.idle)
		require.Nil(t, p.timer)
	})
}

// The context of an exchange belongs to much that is of no use after it.
func TestAnIdleConnectionKeepsNoContext(t *testing.T) {
	s := serve(t, always(hello, stay))
	tr := New(newBase())
	t.Cleanup(tr.CloseIdleConnections)
	get := func() weak.Pointer[ending.Context] {
		ctx := new(ending.Context)
		require.Equal(t, "hello", exchange(tr, newGet(t, ctx, s.url)).Body)
		return weak.Make(ctx)
	}
	for range 2 {
		ctx := get()
		require.Eventually(t, func() bool {
			runtime.GC()
			return ctx.Value() == nil
		}, time.Minute, time.Millisecond)
	}
	require.EqualValues(t, 1, s.conns.Load())
}

// What is in use when the connections are closed is closed when it is not.
func TestConnectionsInUseAreClosedLater(t *testing.T) {
	s := serve(t, always(hello, stay))
	inBoth(t, func(t *testing.T, tr closer, _ *http.Transport) {
		resp, err := tr.RoundTrip(newGet(t, t.Context(), s.url))
		require.NoError(t, err)
		tr.CloseIdleConnections()
		all, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "hello", string(all))
		require.NoError(t, resp.Body.Close())
	})
	require.EqualValues(t, 2, s.conns.Load())
}

// Of many at once, some of which are given up, each gets its own answer.
func TestManyAtOnce(t *testing.T) {
	s := serve(t, func(path string) answer {
		body := strings.Repeat(path+" ", 1000)
		return answer{text: "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body}
	})
	tr := New(newBase())
	t.Cleanup(tr.CloseIdleConnections)
	var all sync.WaitGroup
	for g := range 20 {
		all.Go(func() {
			for i := range 30 {
				ctx, cancel := context.WithCancel(t.Context())
				path := fmt.Sprintf("/%d-%d", g, i)
				resp, err := tr.RoundTrip(newGet(t, ctx, s.url+path))
				if !assert.NoError(t, err) {
					cancel()
					return
				}
				switch i % 5 {
				case 3:
					cancel()
				case 4:
					assert.NoError(t, resp.Body.Close())
				default:
					body, err := io.ReadAll(resp.Body)
					assert.NoError(t, err)
					assert.Equal(t, strings.Repeat(path+" ", 1000), string(body))
				}
				assert.NoError(t, resp.Body.Close())
				cancel()
			}
		})
	}
	all.Wait()
}
