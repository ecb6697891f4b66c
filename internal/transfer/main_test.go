package transfer

import (
	"bufio"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/dlmanager/dlmanager/internal/http1"
)

func TestMain(m *testing.M) {
	if child() {
		return
	}
	goleak.VerifyTestMain(m)
}

// memory is a sink that keeps everything, with what a test wants to happen.
type memory struct {
	head    Head
	starts  int
	data    []byte
	onStart func(Head) error
	onWrite func([]byte, int64) error
}

func (m *memory) Stored(*Result, int) error { return nil }

func (m *memory) Start(h Head, _ Source, at int64) error {
	m.head, m.starts = h, m.starts+1
	m.data = m.data[:at] // what comes goes on there, or begins anew
	if m.onStart != nil {
		return m.onStart(h)
	}
	return nil
}

func (m *memory) WriteAt(b []byte, off int64) (int, error) {
	if off != int64(len(m.data)) {
		return 0, errors.New("written out of order")
	}
	if m.onWrite != nil {
		if err := m.onWrite(b, off); err != nil {
			return 0, err
		}
	}
	m.data = append(m.data, b...)
	return len(b), nil
}

// newClient returns a client as downloads have it, with changes to its transport,
// closed with the test.
func newClient(t testing.TB, change ...func(*http.Transport)) *http.Client {
	base := NewTransport()
	for _, c := range change {
		c(base)
	}
	client := &http.Client{Transport: http1.New(base)}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func parse(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return u
}

// get fetches with a client of its own, and with change applied to the request.
func get(t testing.TB, raw string, change ...func(*Request)) (Result, *memory, error) {
	t.Helper()
	req := Request{URL: parse(t, raw), UserAgent: "test/1", Client: newClient(t)}
	for _, c := range change {
		c(&req)
	}
	m := &memory{}
	result, err := Fetch(t.Context(), req, m)
	if err == nil {
		require.Equal(t, 1, m.starts)
		require.Equal(t, m.head, result.Head)
		require.Equal(t, int64(len(m.data)), result.N)
		require.Equal(t, crc32.Checksum(m.data, castagnoli), result.CRC32C)
	}
	return result, m, err
}

func withClient(c *http.Client) func(*Request) { return func(r *Request) { r.Client = c } }

// serveRaw answers every request with the bytes that answer returns for its
// path, and closes the connection; an answer ending in hold leaves it open until
// the client goes.
func serveRaw(t testing.TB, answer func(path string) string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { answerRaw(conn, answer) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return "http://" + listener.Addr().String()
}

// hold at the end of a raw answer keeps the connection open.
const hold = "\x00hold"

func answerRaw(conn net.Conn, answer func(path string) string) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	text := answer(req.URL.Path)
	held := len(text) >= len(hold) && text[len(text)-len(hold):] == hold
	if held {
		text = text[:len(text)-len(hold)]
	}
	_, _ = io.WriteString(conn, text)
	if held {
		_, _ = r.ReadByte()
	}
}

// always is an answer for every path.
func always(text string) func(string) string { return func(string) string { return text } }

// roundTrip is a transport of the caller's own.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// body is a response body that knows whether it was closed.
type body struct {
	io.Reader
	closed bool
}

func (b *body) Close() error {
	b.closed = true
	return nil
}

// readFunc is a body that a function gives.
type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// texts returns the text of an error and of all that can be unwrapped from it.
func texts(err error) []string {
	if err == nil {
		return nil
	}
	all := []string{err.Error()}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		all = append(all, texts(u.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			all = append(all, texts(e)...)
		}
	}
	if s, ok := err.(*StatusError); ok {
		all = append(all, s.Status, s.URL, s.Message)
	}
	return all
}

// requireFailure returns the *Error that err is, and requires its reason.
func requireFailure(t testing.TB, err, reason error) *Error {
	t.Helper()
	if reason != errAny {
		require.ErrorIs(t, err, reason)
	}
	failed, ok := errors.AsType[*Error](err)
	require.True(t, ok, "%T", err)
	return failed
}

// inBackground runs a fetch whose outcome is taken later.
func inBackground(ctx context.Context, req Request, sink Sink) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := Fetch(ctx, req, sink)
		done <- err
	}()
	return done
}
