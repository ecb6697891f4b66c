//go:build unix

package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/ending"
)

var errEnough = errors.New("enough")

// dialPipe lets base dial a server that reads nothing and says nothing.
func dialPipe(t *testing.T, base *http.Transport) (dialed <-chan net.Conn) {
	ends := make(chan net.Conn, 1)
	base.DialContext = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _ = theirs.Close() })
		ends <- theirs
		return ours, nil
	}
	return ends
}

func TestACauseEndsTheWaitForAConnection(t *testing.T) {
	inBoth(t, func(t *testing.T, tr closer, base *http.Transport) {
		ctx, cancel := context.WithCancelCause(t.Context())
		base.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			cancel(errEnough)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		_, err := tr.RoundTrip(newGet(t, ctx, "http://h.example/"))
		require.ErrorIs(t, err, errEnough)
		_, err = tr.RoundTrip(newGet(t, ctx, "http://h.example/"))
		require.ErrorIs(t, err, errEnough)
	})
}

func TestACauseEndsTheWrite(t *testing.T) {
	inBoth(t, func(t *testing.T, tr closer, base *http.Transport) {
		ctx, cancel := context.WithCancelCause(t.Context())
		dialed := dialPipe(t, base)
		go func() {
			server := <-dialed
			_, _ = server.Read(make([]byte, 1)) // it is being written
			cancel(errEnough)
		}()
		_, err := tr.RoundTrip(newGet(t, ctx, "http://h.example/"))
		require.ErrorIs(t, err, errEnough)
	})
}

// The server sends so much, and then nothing; the client closes the connection.
func TestACauseEndsTheWaitForAnAnswer(t *testing.T) {
	for name, text := range map[string]string{
		"head":           "",
		"in the head":    "HTTP/1.1 200 OK\r\nX: ",
		"body":           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
		"in the body":    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
		"in a chunk":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
		"between chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"end":            "HTTP/1.1 200 OK\r\n\r\nhello",
	} {
		t.Run(name, func(t *testing.T) {
			for _, first := range []string{"new", "used"} {
				said := make(chan struct{}, 1)
				s := serve(t, func(path string) answer {
					if path == "/first" {
						return answer{text: hello}
					}
					return answer{text: text, said: said}
				})
				t.Run(first, func(t *testing.T) {
					inBoth(t, func(t *testing.T, tr closer, _ *http.Transport) {
						ctx, cancel := context.WithCancelCause(t.Context())
						if first == "used" {
							require.Equal(t, "hello", exchange(tr, newGet(t, t.Context(), s.url+"/first")).Body)
						}
						go func() {
							<-said
							cancel(errEnough)
						}()
						resp, err := tr.RoundTrip(newGet(t, ctx, s.url+"/silent"))
						if err == nil {
							_, err = io.ReadAll(resp.Body)
							_, again := resp.Body.Read(make([]byte, 1))
							require.Error(t, again)
							require.NoError(t, resp.Body.Close())
						}
						require.ErrorIs(t, err, errEnough)
					})
				})
			}
		})
	}
}

// A request whose context has ended is not sent, and leaves idle connections alone.
func TestACauseBeforeTheRequest(t *testing.T) {
	s := serve(t, always(hello, stay))
	inBoth(t, func(t *testing.T, tr closer, _ *http.Transport) {
		before := s.conns.Load()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errEnough)
		for range 3 {
			require.Equal(t, "hello", exchange(tr, newGet(t, t.Context(), s.url)).Body)
			asked := s.asked.Load()
			_, err := tr.RoundTrip(newGet(t, ctx, s.url))
			require.ErrorIs(t, err, errEnough)
			require.Equal(t, asked, s.asked.Load())
		}
		require.EqualValues(t, 1, s.conns.Load()-before)
	})
}

// What came before the end can be read, but the connection is closed.
func TestACauseBeforeTheBodyIsRead(t *testing.T) {
	s := serve(t, always(hello, stay))
	std, cancel := context.WithCancelCause(t.Context())
	own := new(ending.Context)
	for ctx, end := range map[context.Context]context.CancelCauseFunc{std: cancel, own: own.End} {
		tr := New(newBase())
		resp, err := tr.RoundTrip(newGet(t, ctx, s.url))
		require.NoError(t, err)
		end(errEnough)
		_, _ = io.ReadAll(resp.Body)
		require.Nil(t, tr.pool.take(s.url[len("http://"):]))
		require.NoError(t, resp.Body.Close())
	}
}

// Whoever ends the context when all has come has all.
func TestACauseAfterTheEndChangesNothing(t *testing.T) {
	s := serve(t, always(hello, stay))
	inBoth(t, func(t *testing.T, tr closer, _ *http.Transport) {
		for range 3 {
			ctx, cancel := context.WithCancelCause(t.Context())
			resp, err := tr.RoundTrip(newGet(t, ctx, s.url))
			require.NoError(t, err)
			all, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, "hello", string(all))
			cancel(errEnough)
			_, err = resp.Body.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
			require.NoError(t, resp.Body.Close())
		}
	})
	require.EqualValues(t, 2, s.conns.Load(), "one for each transport")
}
