package testorigin

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

// ServeHTTP answers a request of the origin's own server.
func (o *Origin) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	request := newRequest(r)
	index, opts, served, ok := o.arrive(request)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	defer o.handlers.Done()
	a := &admission{path: request.Path}
	release := sync.OnceFunc(func() { o.leave(a) })
	defer release()

	p := o.newPlan(a, request, index, opts, served)
	for _, gate := range p.gates {
		if !o.wait(gate, r.Context().Done()) {
			panic(http.ErrAbortHandler)
		}
	}
	if p.drop {
		release()
		panic(http.ErrAbortHandler)
	}
	w := newWire(o, p, rw, r, release)
	p.answer(w, r)
	w.finish()
}

// wait returns true when gate has opened, false when the client has gone or
// the origin closes.
func (o *Origin) wait(gate, gone <-chan struct{}) bool {
	select {
	case <-gate:
		return true
	case <-gone:
		return false
	case <-o.stopped:
		return false
	}
}

func (o *Origin) newPlan(a *admission, request Request, index int, opts []Option, served bool) *plan {
	p := &plan{
		request: request, index: index, header: http.Header{},
		enter: func() bool { return o.enter(a.path, a) },
	}
	if !served {
		Status(http.StatusNotFound, "no such path\n")(p)
		return p
	}
	All(opts...)(p)
	if p.denied != nil {
		return p.denied.plan(request, index)
	}
	if p.gzip {
		p.compress()
	}
	slices.SortStableFunc(p.stops, func(a, b stop) int { return cmp.Compare(a.at, b.at) })
	return p
}

// compress replaces the body by its compressed form. Writing to memory does
// not fail.
func (p *plan) compress() {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = io.Copy(zip, p.content())
	_ = zip.Close()
	Body(packed.Bytes())(p)
}

func (p *plan) content() *io.SectionReader {
	return io.NewSectionReader(p.body, 0, p.size)
}

// answer writes what a good server would, into a wire that makes the best of
// it. Range misbehaviours are another request than the one that came.
func (p *plan) answer(w *wire, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	if p.gzip {
		header.Set("Content-Encoding", "gzip")
	}
	if p.status != 0 {
		header.Set("Content-Type", "text/plain; charset=utf-8")
		header.Set("Content-Length", strconv.FormatInt(p.size, 10))
		w.WriteHeader(p.status)
		_, _ = io.Copy(w, p.content()) // the wire remembers the error
		return
	}
	for key, values := range p.header {
		header[key] = values // the validators are needed for conditional requests
	}
	http.ServeContent(w, p.adjust(r), "", p.modified, p.content())
}
