// Package testorigin is an HTTP server on the loopback interface that
// misbehaves by option. It is for tests only.
//
// Make one with [New], [NewTLS] or [NewHTTP2], give it resources with
// [Origin.Serve] and [Origin.ServeSize], and ask afterwards what it was asked:
//
//	o := testorigin.New(t)
//	url := o.Serve("/tool", body, testorigin.ETag(`"v1"`), testorigin.CutAfter(100))
//	// ... download url ...
//	require.Equal(t, 2, o.Count("/tool"))
//
// Without options a resource behaves as a good server does (the semantics are
// those of [net/http.ServeContent]: ranges, If-Range, If-None-Match, HEAD).
// Options are applied in their order, afresh for every request; of two that
// say different things about one matter the later one counts.
//
// No option is a matter of time. A response that stands still waits for a
// channel, for its client to go away, or for the origin to close.
//
// Options that break the framing of HTTP/1.1 ([ResetAfter], [CloseDelimited],
// [ContentLength]) do not work on an origin made by NewHTTP2; using one there
// fails the test.
package testorigin

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// Origin is a running server. It is safe for concurrent use; resources may be
// added and replaced while requests are served.
type Origin struct {
	t        testing.TB
	base     string // scheme://host:port
	alt      string
	server   *http.Server
	client   *http.Client
	roots    *x509.CertPool
	stopped  chan struct{}
	serving  sync.WaitGroup // the accept loop and the open connections
	handlers sync.WaitGroup

	mu        sync.Mutex // guards all below
	closed    bool
	resources map[string][]Option
	requests  map[string][]Request
	awaited   []arrival
	active    int
	maxActive int
	alone     map[string]*admission // who has the only place for requests of a path
	raw       map[net.Conn]struct{} // connections taken over from net/http
}

// arrival is somebody waiting for the n-th request of a path.
type arrival struct {
	path string
	n    int
	ch   chan struct{}
}

// New starts an HTTP/1.1 origin that is closed when the test ends.
func New(t testing.TB) *Origin {
	t.Helper()
	return start(t, nil, "http")
}

// NewTLS is New over TLS, with a certificate of its own authority for
// 127.0.0.1 and localhost. Only [Origin.Client] and those who use
// [Origin.RootCAs] trust it.
func NewTLS(t testing.TB) *Origin {
	t.Helper()
	return start(t, []string{"http/1.1"}, "https")
}

// NewHTTP2 is NewTLS that also speaks HTTP/2 with clients that ask for it;
// the client of [Origin.Client] does.
func NewHTTP2(t testing.TB) *Origin {
	t.Helper()
	return start(t, []string{"h2", "http/1.1"}, "https")
}

// start serves plain HTTP without protocols, and TLS with them.
func start(t testing.TB, protocols []string, scheme string) *Origin {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("testorigin: %v", err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	o := &Origin{
		t:         t,
		base:      scheme + "://127.0.0.1:" + port,
		alt:       scheme + "://localhost:" + port,
		client:    &http.Client{Transport: &http.Transport{DisableCompression: true}},
		stopped:   make(chan struct{}),
		resources: map[string][]Option{},
		requests:  map[string][]Request{},
		alone:     map[string]*admission{},
		raw:       map[net.Conn]struct{}{},
	}
	o.server = &http.Server{
		Handler:   o,
		ErrorLog:  log.New(io.Discard, "", 0), // failed handshakes and aborted handlers are what tests are about
		ConnState: o.countConn,
	}
	if protocols != nil {
		o.secure(protocols)
	}
	o.serving.Go(func() { o.serve(listener, protocols != nil) })
	t.Cleanup(o.Close)
	return o
}

func (o *Origin) secure(protocols []string) {
	cert, roots := newCertificate(o.t)
	o.roots = roots
	o.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: protocols}
	transport := &http.Transport{DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: roots}}
	if slices.Contains(protocols, "h2") {
		transport.ForceAttemptHTTP2 = true
	} else {
		o.server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // no HTTP/2
	}
	o.client.Transport = transport
}

func (o *Origin) serve(listener net.Listener, secure bool) {
	if secure {
		_ = o.server.ServeTLS(listener, "", "") // always ErrServerClosed
		return
	}
	_ = o.server.Serve(listener)
}

func (o *Origin) countConn(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		o.serving.Add(1)
	case http.StateClosed, http.StateHijacked:
		o.serving.Done()
	}
}

// Close ends every response, also those that wait, closes every connection and
// returns when nothing of the origin runs any more. It may be called twice, and
// early, to let a server die in the middle of things.
func (o *Origin) Close() {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		close(o.stopped)
	}
	for conn := range o.raw {
		_ = conn.Close()
	}
	o.mu.Unlock()
	_ = o.server.Close()
	o.client.CloseIdleConnections()
	o.serving.Wait()
	o.handlers.Wait()
}

// Serve answers requests for path (which begins with a slash) with body,
// changed by opts, and returns the URL. Serving a path again replaces what was
// there; its request count goes on.
func (o *Origin) Serve(path string, body []byte, opts ...Option) (url string) {
	return o.add(path, Body(body), opts)
}

// ServeSize is Serve with the size bytes of [Content] as the body, which takes
// no memory.
func (o *Origin) ServeSize(path string, size int64, opts ...Option) (url string) {
	return o.add(path, Size(size), opts)
}

func (o *Origin) add(path string, body Option, opts []Option) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.resources[path] = append([]Option{body}, opts...)
	return o.base + path
}

// URL returns the URL of path, which may carry a query.
func (o *Origin) URL(path string) string { return o.base + path }

// AltURL returns another URL of path: the same server under another host
// name. Credentials must not follow a redirect from one to the other.
func (o *Origin) AltURL(path string) string { return o.alt + path }

// Client returns a plain client that trusts the origin's certificate. It does
// not ask for compression. Its idle connections are closed with the origin.
func (o *Origin) Client() *http.Client { return o.client }

// RootCAs returns the authority behind a TLS origin's certificate; nil for an
// origin without TLS.
func (o *Origin) RootCAs() *x509.CertPool { return o.roots }
