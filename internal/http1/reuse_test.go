//go:build unix

package http1

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// What comes behind an answer is not the next one, however it arrives.
func TestWhatComesUnaskedIsNoAnswer(t *testing.T) {
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for name, text := range map[string]string{
		"length":      hello + evil,
		"no body":     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + evil,
		"204":         "HTTP/1.1 204 No Content\r\n\r\n" + evil,
		"304":         "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n" + evil,
		"chunked":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + evil,
		"one byte":    hello + "\n",
		"large":       "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + strings.Repeat("x", 40000) + evil,
		"408":         hello + "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
		"more of 1xx": hello + "HTTP/1.1 100 Continue\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			said := make(chan struct{}, 1)
			s := serve(t, func(path string) answer {
				if path == "/evil" {
					return answer{text: text, said: said}
				}
				return answer{text: hello}
			})
			tr := New(newBase())
			t.Cleanup(tr.CloseIdleConnections)
			for range 3 {
				require.Empty(t, exchange(tr, newGet(t, t.Context(), s.url+"/evil")).BodyErr)
				<-said
				heard(t, tr)
				require.Equal(t, "hello", exchange(tr, newGet(t, t.Context(), s.url+"/good")).Body)
			}
			require.EqualValues(t, 4, s.conns.Load(), "the good ones' is used by the evil ones")
		})
	}
}

func TestAnIdleConnectionHasToBeQuiet(t *testing.T) {
	s := serve(t, always(hello, stay))
	tr := New(newBase())
	t.Cleanup(tr.CloseIdleConnections)
	get := func() { require.Equal(t, "hello", exchange(tr, newGet(t, t.Context(), s.url)).Body) }
	get()
	get()
	require.EqualValues(t, 1, s.conns.Load())
	s.interject("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
	heard(t, tr)
	get()
	require.EqualValues(t, 2, s.conns.Load())
	require.EqualValues(t, 3, s.asked.Load(), "nothing was sent over the first")
}

// A server may close an idle connection while the next request is on its way.
func TestARequestWithoutAnAnswerIsRepeatedOnce(t *testing.T) {
	for name, then := range map[string]after{"closed": shut, "reset": reset} {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Bool
			var n atomic.Int64
			s := serve(t, func(string) answer {
				if broken.Load() && n.Add(1)%2 == 1 {
					return answer{then: then}
				}
				return answer{text: hello}
			})
			inBoth(t, func(t *testing.T, tr closer, _ *http.Transport) {
				get := func() outcome { return exchange(tr, newGet(t, t.Context(), s.url)) }
				broken.Store(false)
				require.Equal(t, "hello", get().Body)
				broken.Store(true)
				before := s.conns.Load()
				require.Equal(t, "hello", get().Body)
				require.EqualValues(t, 1, s.conns.Load()-before)
			})
		})
	}
}

func TestANewConnectionWithoutAnAnswerIsAFailure(t *testing.T) {
	var broken atomic.Bool
	s := serve(t, func(string) answer {
		if broken.Load() {
			return answer{then: shut}
		}
		return answer{text: hello}
	})
	inBoth(t, func(t *testing.T, tr closer, _ *http.Transport) {
		broken.Store(false)
		require.Equal(t, "hello", exchange(tr, newGet(t, t.Context(), s.url)).Body)
		broken.Store(true)
		before := s.asked.Load()
		require.Equal(t, "EOF", exchange(tr, newGet(t, t.Context(), s.url)).Err)
		require.EqualValues(t, 2, s.asked.Load()-before, "over the used one and a new one")
	})
}

// Not all that are idle are tried: that would be the request as many times.
func TestARequestIsRepeatedOverANewConnection(t *testing.T) {
	var broken atomic.Bool
	s := serve(t, func(string) answer {
		if broken.Load() {
			return answer{then: shut}
		}
		return answer{text: hello}
	})
	tr := New(newBase())
	t.Cleanup(tr.CloseIdleConnections)
	together(t, tr, s.url, 5)
	broken.Store(true)
	require.Equal(t, "EOF", exchange(tr, newGet(t, t.Context(), s.url)).Err)
	require.EqualValues(t, 5+2, s.asked.Load())
}

// net/http would hand the connection over; we have no use for one.
func TestASwitchOfProtocolsIsAnAnswerWithoutBody(t *testing.T) {
	s := serve(t, always("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello", open))
	tr := New(newBase())
	for range 2 {
		got := exchange(tr, newGet(t, t.Context(), s.url))
		require.Equal(t, "101 Switching Protocols", got.Status)
		require.Empty(t, got.Body)
	}
	require.EqualValues(t, 2, s.conns.Load())
}

// A part of an answer is one: who has begun to answer is not asked again.
func TestACutAnswerIsNotRepeated(t *testing.T) {
	var broken atomic.Bool
	s := serve(t, func(string) answer {
		if broken.Load() {
			return answer{text: "HTTP/1.1 200 OK\r\nX: ", then: shut}
		}
		return answer{text: hello}
	})
	inBoth(t, func(t *testing.T, tr closer, _ *http.Transport) {
		broken.Store(false)
		require.Equal(t, "hello", exchange(tr, newGet(t, t.Context(), s.url)).Body)
		broken.Store(true)
		before := s.asked.Load()
		require.Equal(t, "unexpected EOF", exchange(tr, newGet(t, t.Context(), s.url)).Err)
		require.EqualValues(t, 1, s.asked.Load()-before)
	})
}

// A reset in the middle is told as such.
func TestAResetInABody(t *testing.T) {
	inBoth(t, func(t *testing.T, tr closer, _ *http.Transport) {
		said := make(chan struct{}) // the server waits until we have read
		s := serve(t, func(string) answer {
			return answer{text: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", said: said, then: reset}
		})
		resp, err := tr.RoundTrip(newGet(t, t.Context(), s.url))
		require.NoError(t, err)
		_, err = io.ReadFull(resp.Body, make([]byte, 5))
		require.NoError(t, err)
		<-said
		_, err = resp.Body.Read(make([]byte, 1))
		require.Equal(t, "connection reset by peer", kind(err))
		require.NoError(t, resp.Body.Close())
	})
}

// A body that is given up takes its connection with it, also while it is read.
func TestABodyIsClosedBeforeItsEnd(t *testing.T) {
	s := serve(t, func(path string) answer {
		if path == "/long" {
			return answer{text: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"}
		}
		return answer{text: hello}
	})
	inBoth(t, func(t *testing.T, tr closer, _ *http.Transport) {
		resp, err := tr.RoundTrip(newGet(t, t.Context(), s.url+"/long"))
		require.NoError(t, err)
		_, err = io.ReadFull(resp.Body, make([]byte, 5))
		require.NoError(t, err)
		read := make(chan error, 1)
		go func() {
			_, err := resp.Body.Read(make([]byte, 1))
			read <- err
		}()
		require.NoError(t, resp.Body.Close())
		require.Error(t, <-read)
		require.NoError(t, resp.Body.Close())
		_, err = resp.Body.Read(make([]byte, 1))
		require.Error(t, err)
		require.Equal(t, "hello", exchange(tr, newGet(t, t.Context(), s.url)).Body)
	})
	require.EqualValues(t, 4, s.conns.Load())
}

// A second reader at the end does not reach into the next exchange.
func TestManyReadersOfABody(t *testing.T) {
	s := serve(t, always(hello, stay))
	tr := New(newBase())
	t.Cleanup(tr.CloseIdleConnections)
	for range 50 {
		resp, err := tr.RoundTrip(newGet(t, t.Context(), s.url))
		require.NoError(t, err)
		var n atomic.Int64
		done := make(chan error, 3)
		for range 3 {
			go func() {
				k, err := io.Copy(io.Discard, resp.Body)
				n.Add(k)
				done <- err
			}()
		}
		require.Equal(t, "hello", exchange(tr, newGet(t, t.Context(), s.url)).Body)
		for range 3 {
			require.NoError(t, <-done)
		}
		require.EqualValues(t, 5, n.Load())
		require.NoError(t, resp.Body.Close())
	}
}
