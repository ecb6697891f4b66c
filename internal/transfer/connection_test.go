package transfer

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// countingClient returns a client and the number of connections it has made.
func countingClient(t *testing.T) (*http.Client, *atomic.Int64) {
	var dials atomic.Int64
	return newClient(t, func(transport *http.Transport) {
		dial := transport.DialContext
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			return dial(ctx, network, address)
		}
	}), &dials
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/file", content(t, 1<<20))
	for _, raw := range []string{
		o.URL("/file"),
		o.Serve("/empty", nil),
		o.ServeSize("/chunked", 1<<20, testorigin.NoLength()),
		o.Serve("/redirect", nil, testorigin.Redirect("/file", 302)),
		o.Serve("/redirect-with-body", []byte(strings.Repeat("x", drain)), testorigin.Status(302, strings.Repeat("x", drain-1)), testorigin.Header("Location", "/file")),
		o.Serve("/status", nil, testorigin.Status(404, "not there")),
	} {
		client, dials := countingClient(t)
		for range 5 {
			_, _, err := get(t, raw, withClient(client))
			if err != nil {
				requireStatus(t, err, 404)
			}
		}
		require.EqualValues(t, 1, dials.Load(), raw)
	}
}

func TestAConnectionIsGivenUpWithItsBody(t *testing.T) {
	o := testorigin.New(t)
	client, dials := countingClient(t)
	endless := o.Serve("/endless", nil, testorigin.Endless())
	for range 2 {
		_, _, err := get(t, endless, withClient(client), func(r *Request) { r.MaxSize = 10 })
		require.ErrorIs(t, err, ErrTooLarge)
	}
	require.EqualValues(t, 2, dials.Load())
}

// scripted answers with one response after the other, and remembers the bodies.
type scripted struct {
	responses []*http.Response
	bodies    []*body
}

func (s *scripted) RoundTrip(*http.Request) (*http.Response, error) {
	if len(s.responses) == 0 {
		return nil, errors.New("no more answers")
	}
	r := s.responses[0]
	s.responses = s.responses[1:]
	b := &body{Reader: r.Body}
	r.Body = b
	s.bodies = append(s.bodies, b)
	return r, nil
}

func answer(code int, text io.Reader, header ...string) *http.Response {
	r := &http.Response{StatusCode: code, ContentLength: -1, Header: http.Header{}, Body: io.NopCloser(text)}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestEveryBodyIsClosed(t *testing.T) {
	text := func() io.Reader { return strings.NewReader("text") }
	broken := readFunc(func([]byte) (int, error) { return 0, errors.New("broken") })
	to := func(location string) *http.Response { return answer(302, text(), "Location", location) }
	fail := errors.New("sink")
	refuse := func(err error) func(*http.Client) {
		return func(c *http.Client) {
			c.CheckRedirect = func(*http.Request, []*http.Request) error { return err }
		}
	}
	for name, c := range map[string]struct {
		responses []*http.Response
		sink      memory
		max       int64
		client    func(*http.Client)
	}{
		"success":              {responses: []*http.Response{answer(200, text())}},
		"status":               {responses: []*http.Response{answer(500, text())}},
		"status without text":  {responses: []*http.Response{answer(500, text(), "Content-Type", "image/png")}},
		"broken status":        {responses: []*http.Response{answer(500, broken)}},
		"encoded":              {responses: []*http.Response{answer(200, text(), "Content-Encoding", "gzip")}},
		"too large":            {responses: []*http.Response{answer(200, text())}, max: 1},
		"broken":               {responses: []*http.Response{answer(200, broken)}},
		"start fails":          {responses: []*http.Response{answer(200, text())}, sink: memory{onStart: func(Head) error { return fail }}},
		"write fails":          {responses: []*http.Response{answer(200, text())}, sink: memory{onWrite: func([]byte, int64) error { return fail }}},
		"redirect":             {responses: []*http.Response{to("/b"), to("/c"), answer(200, text())}},
		"broken redirect body": {responses: []*http.Response{answer(302, broken, "Location", "/b"), answer(200, text())}},
		"redirect to nowhere":  {responses: []*http.Response{to("ftp://h/")}},
		"redirect to garbage":  {responses: []*http.Response{to("http://h:port/%zz")}},
		"redirect to failure":  {responses: []*http.Response{to("/b")}},
		"downgrade":            {responses: []*http.Response{to("https://h/"), to("http://h/")}},
		"refused redirect":     {responses: []*http.Response{to("/b")}, client: refuse(fail)},
		"redirect not used":    {responses: []*http.Response{to("/b")}, client: refuse(http.ErrUseLastResponse)},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scripted{responses: c.responses}
			want := len(c.responses)
			client := &http.Client{Transport: s}
			if c.client != nil {
				c.client(client)
			}
			_, _ = Fetch(t.Context(), Request{URL: parse(t, "http://h/a"), MaxSize: c.max, Client: client}, &c.sink)
			require.Len(t, s.bodies, want)
			for _, b := range s.bodies {
				require.True(t, b.closed)
			}
		})
	}
}
