package testorigin

import (
	"net/http"
	"slices"
)

// Request is one request as it arrived.
type Request struct {
	Method   string
	Path     string
	RawQuery string
	Host     string      // of the Host header
	Header   http.Header // a copy
	User     string      // basic auth
	Password string
	HasAuth  bool // a well-formed basic Authorization header was there
}

func newRequest(r *http.Request) Request {
	user, password, ok := r.BasicAuth()
	return Request{
		Method: r.Method, Path: r.URL.Path, RawQuery: r.URL.RawQuery,
		Host: r.Host, Header: r.Header.Clone(),
		User: user, Password: password, HasAuth: ok,
	}
}

// Requests returns the requests for path so far, in the order of their
// arrival, also those for a path that is not served.
func (o *Origin) Requests(path string) []Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.requests[path])
}

// Count returns the number of requests for path so far.
func (o *Origin) Count(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.requests[path])
}

// MaxConcurrent returns the largest number of requests, of all paths, that
// were being answered at one time. A request counts from its arrival until its
// last byte is about to be written; one whose client gave up counts until the
// origin has seen that.
func (o *Origin) MaxConcurrent() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.maxActive
}

// Arrived returns a channel that is closed when path has been asked for n
// times in all, so that a test knows that a request is there without sleeping.
func (o *Origin) Arrived(path string, n int) <-chan struct{} {
	ch := make(chan struct{})
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.requests[path]) >= n {
		close(ch)
	} else {
		o.awaited = append(o.awaited, arrival{path, n, ch})
	}
	return ch
}

// arrive records a request. It returns which one of its path it is (from 0)
// and what the path was given; ok is false when the origin is closed, served
// when there is such a path.
func (o *Origin) arrive(req Request) (index int, opts []Option, served, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, nil, false, false
	}
	o.handlers.Add(1)
	o.active++
	o.maxActive = max(o.maxActive, o.active)
	index = len(o.requests[req.Path])
	o.requests[req.Path] = append(o.requests[req.Path], req)
	o.awaited = slices.DeleteFunc(o.awaited, func(a arrival) bool {
		if a.path != req.Path || index+1 < a.n {
			return false
		}
		close(a.ch)
		return true
	})
	opts, served = o.resources[req.Path]
	return index, opts, served, true
}
