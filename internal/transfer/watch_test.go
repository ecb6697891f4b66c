package transfer

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const stall = 30 * time.Second

// pipeTo lets a transport's every connection be a pipe to serve, which is called
// with the request's path. It runs in the bubble of a synctest.
func pipeTo(t *testing.T, serve func(conn net.Conn, path string)) func(*http.Transport) {
	var running sync.WaitGroup
	dial := func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		running.Go(func() {
			defer there.Close()
			r := bufio.NewReader(there)
			for {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				serve(there, req.URL.Path)
			}
		})
		return here, nil
	}
	t.Cleanup(running.Wait)
	return func(transport *http.Transport) { transport.DialContext = dial }
}

func say(conn net.Conn, text string) { _, _ = io.WriteString(conn, text) }

// silence lasts until the client has gone.
func silence(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) }

// inBubble fetches with a stall time-out, by a fake clock, and returns how long
// it took.
func inBubble(t *testing.T, m *memory, serve func(net.Conn, string), change func(*Request)) (time.Duration, error) {
	start := time.Now()
	req := Request{URL: parse(t, "http://h/a"), Stall: stall, Client: newClient(t, pipeTo(t, serve))}
	if change != nil {
		change(&req)
	}
	_, err := Fetch(t.Context(), req, m)
	return time.Since(start), err
}

func TestSilenceIsAStall(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve func(conn net.Conn, path string)
		data  string
		after time.Duration
	}{
		{"before the headers", func(conn net.Conn, _ string) { silence(conn) }, "", stall},
		{"in the headers", func(conn net.Conn, _ string) {
			say(conn, "HTTP/1.1 200 OK\r\nContent-Le")
			silence(conn)
		}, "", stall},
		{"after the headers", func(conn net.Conn, _ string) {
			say(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
			silence(conn)
		}, "", stall},
		{"in the body", func(conn net.Conn, _ string) {
			say(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
			time.Sleep(20 * time.Second)
			say(conn, "12345")
			silence(conn)
		}, "12345", 20*time.Second + stall},
		{"after a redirect", func(conn net.Conn, path string) {
			if path == "/a" {
				time.Sleep(20 * time.Second)
				say(conn, "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")
				return
			}
			silence(conn)
		}, "", 20*time.Second + stall},
		{"in the body of a redirect", func(conn net.Conn, _ string) {
			say(conn, "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 10\r\n\r\n")
			silence(conn)
		}, "", stall},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &memory{}
				took, err := inBubble(t, m, c.serve, nil)
				failed := requireFailure(t, err, ErrStalled)
				require.EqualValues(t, len(c.data), failed.Offset)
				require.Equal(t, c.data, string(m.data))
				require.Equal(t, c.after, took)
			})
		})
	}
}

func TestAHangingDialIsAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := inBubble(t, &memory{}, nil, func(r *Request) {
			r.Client = newClient(t, func(transport *http.Transport) {
				transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}
			})
		})
		requireFailure(t, err, ErrStalled)
	})
}

// What net/http returns as the body of a 101 is the connection, and nothing of ours
// ends a read from that.
func TestASwitchOfProtocolsIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := NewTransport()
		pipeTo(t, func(conn net.Conn, _ string) {
			say(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			silence(conn)
		})(transport)
		took, err := inBubble(t, &memory{}, nil, func(r *Request) { r.Client = &http.Client{Transport: transport} })
		requireStatus(t, err, http.StatusSwitchingProtocols)
		require.Zero(t, took)
	})
}

func TestADripIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		took, err := inBubble(t, m, func(conn net.Conn, _ string) {
			say(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
			for range 10 {
				time.Sleep(stall - time.Second)
				say(conn, "x")
			}
		}, nil)
		require.NoError(t, err)
		require.Equal(t, "xxxxxxxxxx", string(m.data))
		require.Equal(t, 10*(stall-time.Second), took)
	})
}

func TestASlowSinkIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{
			onStart: func(Head) error { time.Sleep(time.Hour); return nil },
			onWrite: func([]byte, int64) error { time.Sleep(time.Hour); return nil },
		}
		_, err := inBubble(t, m, func(conn net.Conn, _ string) {
			say(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
			say(conn, "ab")
			say(conn, "cd")
		}, nil)
		require.NoError(t, err)
		require.Equal(t, "abcd", string(m.data))
	})
}

func TestWithoutALimitNothingStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took, err := inBubble(t, &memory{}, func(conn net.Conn, _ string) {
			time.Sleep(time.Hour)
			say(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
			time.Sleep(time.Hour)
			say(conn, "x")
		}, func(r *Request) { r.Stall = 0 })
		require.NoError(t, err)
		require.Equal(t, 2*time.Hour, took)
	})
}

func TestAStatusStandsWhenItsTextStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took, err := inBubble(t, &memory{}, func(conn net.Conn, _ string) {
			say(conn, "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 100\r\n\r\ntry lat")
			silence(conn)
		}, nil)
		status := requireStatus(t, err, 503)
		require.Equal(t, "try lat", status.Message)
		require.Equal(t, "7", status.RetryAfter)
		require.Equal(t, stall, took)
	})
}

// A sink that is slow for longer than the limit leaves the clock off; what comes
// after it has the full limit again.
func TestTheClockStartsAgainAfterASlowSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{onWrite: func([]byte, int64) error { time.Sleep(stall + 7*time.Second); return nil }}
		took, err := inBubble(t, m, func(conn net.Conn, _ string) {
			say(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
			say(conn, "a")
			silence(conn)
		}, nil)
		requireFailure(t, err, ErrStalled)
		require.Equal(t, stall+7*time.Second+stall, took)
	})
}

func TestTheWatchLeavesNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t.Context(), stall)
		w.arm()
		w.disarm()
		time.Sleep(10 * stall)
		require.NoError(t, w.Err())
		w.stop()
		require.False(t, w.timer.Stop(), "it is stopped")
		w.look() // fired while it was being stopped
		require.False(t, w.timer.Stop(), "it is not set again")
		_, stalled := w.ended()
		require.False(t, stalled)
	})
}

// The client's Timeout is for the whole of a download, not for every request of
// a chain of redirects.
func TestTheClientsTimeoutIsForAllRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took, err := inBubble(t, &memory{}, func(conn net.Conn, _ string) {
			time.Sleep(4 * time.Second)
			say(conn, "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")
		}, func(r *Request) { r.Client.Timeout = 10 * time.Second })
		requireFailure(t, err, context.DeadlineExceeded)
		timeout, ok := errors.AsType[net.Error](err)
		require.True(t, ok && timeout.Timeout())
		require.Equal(t, 10*time.Second, took)
	})
}

func TestTheClientsTimeoutCoversTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took, err := inBubble(t, &memory{}, func(conn net.Conn, _ string) {
			say(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
			silence(conn)
		}, func(r *Request) { r.Client.Timeout = 10 * time.Second })
		requireFailure(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, ErrCut, "it was us")
		require.Equal(t, 10*time.Second, took)
	})
}
