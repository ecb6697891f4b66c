//go:build unix

package http1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // where net/http reports what comes unasked
	goleak.VerifyTestMain(m)
}

// newBase returns a transport as downloads have it, with a bound for heads that is
// quick to reach.
func newBase() *http.Transport {
	return &http.Transport{
		DialContext: (&net.Dialer{}).DialContext, DisableCompression: true, MaxIdleConnsPerHost: 16,
		IdleConnTimeout: 90 * time.Second, ReadBufferSize: 8 << 10, MaxResponseHeaderBytes: 16 << 10,
	}
}

// closer is a transport that can be tidied up.
type closer interface {
	http.RoundTripper
	CloseIdleConnections()
}

// inBoth runs a test with net/http's transport and with ours.
func inBoth(t *testing.T, test func(t *testing.T, tr closer, base *http.Transport)) {
	t.Run("net/http", func(t *testing.T) {
		base := newBase()
		t.Cleanup(base.CloseIdleConnections)
		test(t, base, base)
	})
	t.Run("http1", func(t *testing.T) {
		tr := New(newBase())
		t.Cleanup(tr.CloseIdleConnections)
		test(t, tr, tr.base)
	})
}

// answer is what a server does when a request has come.
type answer struct {
	text string
	then after
	said chan<- struct{} // gets a value when the text is written; nil: none
}

type after int

const (
	stay  after = iota // wait for the next request
	open               // the same, although the answer ends the connection
	shut               // close the connection
	reset              // reset it
)

// server answers requests by their path. Its connections are closed by the clients
// alone, unless an answer says otherwise: its cleanup waits for that.
type server struct {
	*testing.T
	answer  func(path string) answer
	url     string
	conns   atomic.Int64
	asked   atomic.Int64
	ended   chan struct{} // gets a value for each connection that a client closed
	running sync.WaitGroup

	mu   sync.Mutex // guards open
	open map[net.Conn]struct{}
}

// serve starts a server, which is to be done before its clients are made.
func serve(t *testing.T, answer func(path string) answer) *server {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &server{
		T: t, answer: answer, url: "http://" + listener.Addr().String(),
		ended: make(chan struct{}, 1000), open: map[net.Conn]struct{}{},
	}
	s.running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			s.running.Go(func() { s.talk(c) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		s.running.Wait()
	})
	return s
}

func (s *server) talk(c net.Conn) {
	defer c.Close()
	s.mu.Lock()
	s.open[c] = struct{}{}
	s.mu.Unlock()
	r := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			s.ended <- struct{}{}
			return
		}
		s.asked.Add(1)
		a := s.answer(req.URL.Path)
		_, _ = io.WriteString(c, a.text)
		if a.said != nil {
			a.said <- struct{}{}
		}
		switch a.then {
		case stay, open:
			continue
		case reset:
			_ = c.(*net.TCPConn).SetLinger(0)
		}
		return
	}
}

// interject sends text, unasked, over all connections there are.
func (s *server) interject(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_, err := io.WriteString(c, text)
		require.NoError(s, err)
	}
}

// heard waits until something has come over each idle connection.
func heard(t *testing.T, tr *Transport) {
	tr.pool.mu.Lock()
	defer tr.pool.mu.Unlock()
	for _, idle := range tr.pool.idle {
		for _, c := range idle {
			require.NoError(t, c.raw.Read(func(fd uintptr) bool {
				_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
				return err != syscall.EAGAIN
			}))
		}
	}
}

func always(text string, then after) func(string) answer {
	return func(string) answer { return answer{text: text, then: then} }
}

const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

func newGet(t testing.TB, ctx context.Context, url string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	return req
}

// outcome is all that a caller sees of an exchange.
type outcome struct {
	Status, Proto   string
	Header, Trailer http.Header
	Length          int64
	Coding          []string
	Close           bool
	Body            string
	Err, BodyErr    string
}

func exchange(tr http.RoundTripper, req *http.Request) (o outcome) {
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return outcome{Err: kind(err)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return outcome{
		resp.Status, resp.Proto, resp.Header, resp.Trailer, resp.ContentLength, resp.TransferEncoding, resp.Close,
		string(body), "", kind(err),
	}
}

// kind says what of an error matters to who looks at it, or its text.
func kind(err error) string {
	errno, isErrno := errors.AsType[syscall.Errno](err)
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "unexpected EOF"
	case errors.Is(err, io.EOF):
		return "EOF"
	case isErrno:
		return errno.Error()
	case isNet && timeout.Timeout():
		return "time-out"
	case strings.Contains(err.Error(), "headers exceeded"):
		return "headers exceeded"
	}
	return strings.TrimPrefix(err.Error(), "net/http: HTTP/1.x transport connection broken: ")
}

// recordDials lets base dial a server that answers hello, whatever it dials. What
// it returns tells what was written.
func recordDials(t *testing.T, base *http.Transport) (written func() string) {
	s := serve(t, always(hello, shut))
	var wire wire
	base.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(s.url, "http://"))
		return recorded{c, &wire}, err
	}
	return wire.String
}

// wire is what went over connections.
type wire struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *wire) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

type recorded struct {
	net.Conn
	wire *wire
}

func (r recorded) Write(p []byte) (int, error) {
	r.wire.mu.Lock()
	r.wire.text.Write(p)
	r.wire.mu.Unlock()
	return r.Conn.Write(p)
}
