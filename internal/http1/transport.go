// Package http1 makes GET requests over plain TCP in the caller's goroutine.
//
// [New] puts it before an [http.Transport], which goes on to check what is sent, where
// there is something to check, and does whatever is not such a request. net/http hands
// each request to one goroutine and takes each answer from another; for small files
// these wake-ups cost as much as the exchange. What is written is what
// [http.Request.Write] writes, and an answer is what [http.ReadResponse] reads; both do
// whatever is out of the ordinary.
//
// It promises nothing beyond net/http, and does not do the following, because
// downloads have no use for it: an answer is read only when the request has been
// written, and a 101 has no body.
package http1

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
)

// Transport is an [http.RoundTripper] that may be used by several goroutines.
type Transport struct {
	base *http.Transport
	pool pool
}

// New returns a transport with base's settings, which must not change any more.
// From base these count for connections of our own: DialContext (required),
// Proxy, IdleConnTimeout, MaxIdleConnsPerHost, MaxResponseHeaderBytes and
// ReadBufferSize. Where the system cannot tell whether an idle connection is
// quiet, base does everything.
func New(base *http.Transport) *Transport {
	t := &Transport{base: base, pool: pool{
		idle: map[string][]*conn{}, most: base.MaxIdleConnsPerHost, timeout: base.IdleConnTimeout,
	}}
	if canTell {
		// So base checks the request before it comes to us, and has those that we skip.
		base.RegisterProtocol("http", (*direct)(t))
	}
	return t
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if canTell && isOrdinary(req) {
		resp, err := (*direct)(t).exchange(req, true)
		if err != http.ErrSkipAltProtocol {
			return resp, err
		}
	}
	return t.base.RoundTrip(req)
}

// CloseIdleConnections closes the connections that are not in use, and those that
// are as soon as they are not any more, unless there is another request meanwhile.
func (t *Transport) CloseIdleConnections() {
	t.pool.close()
	t.base.CloseIdleConnections()
}

// maxRequest is how many bytes of request are written before the answer is looked at.
// A socket takes so many at once, so that no server that answers without reading
// can hold us up.
const maxRequest = 16 << 10

// requests has buffers for what is sent.
var requests = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// direct makes the requests that are ours.
type direct Transport

// RoundTrip returns [http.ErrSkipAltProtocol] for requests that are not ours.
func (d *direct) RoundTrip(req *http.Request) (*http.Response, error) {
	return d.exchange(req, isOrdinary(req))
}

func (d *direct) exchange(req *http.Request, ordinary bool) (*http.Response, error) {
	if !d.takes(req) {
		return nil, http.ErrSkipAltProtocol
	}
	head := requests.Get().(*bytes.Buffer)
	defer requests.Put(head)
	head.Reset()
	if err := writeHead(head, req, ordinary); err != nil || head.Len() > maxRequest {
		return nil, http.ErrSkipAltProtocol // which says what is wrong with it
	}
	addr := address(req)
	for fresh := false; ; {
		c, err := d.connect(req.Context(), addr, fresh)
		if err != nil {
			return nil, err
		}
		resp, err := c.exchange(req, head.Bytes())
		if !errors.Is(err, errGone) {
			return resp, err
		}
		fresh = c.sent // once more, since a GET may be repeated, and not over all that are idle
	}
}

// takes reports whether the request is ours: a GET without anything that changes
// what the connection is used for.
func (d *direct) takes(req *http.Request) bool {
	//lint:ignore SA1019 http.Client sets it for a Timeout
	canceled := req.Cancel != nil
	if req.Method != http.MethodGet || req.Body != nil && req.Body != http.NoBody || req.Close || canceled ||
		len(req.TransferEncoding)+len(req.Trailer)+len(req.Header["Connection"])+len(req.Header["Upgrade"]) > 0 ||
		req.URL.Hostname() == "" || !isASCII(req.URL.Host) || httptrace.ContextClientTrace(req.Context()) != nil {
		return false
	}
	if d.base.Proxy == nil {
		return true
	}
	proxy, err := d.base.Proxy(req)
	return proxy == nil && err == nil
}

// isASCII reports whether the name can be looked up as it is.
func isASCII(host string) bool {
	for i := range len(host) {
		if host[i] >= 0x80 {
			return false
		}
	}
	return true
}

// address returns what to dial.
func address(req *http.Request) string {
	if req.URL.Port() != "" {
		return req.URL.Host
	}
	return net.JoinHostPort(req.URL.Hostname(), "80")
}

// connect returns a connection, a new one if need be.
func (d *direct) connect(ctx context.Context, addr string, fresh bool) (*conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if !fresh {
		if c := d.pool.take(addr); c != nil {
			return c, nil
		}
	}
	tcp, err := d.base.DialContext(ctx, "tcp", addr)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return newConn(tcp, addr, d), nil
}
