package testorigin

import (
	"errors"
	"net/http"
	"strconv"
)

// wire is the http.ResponseWriter between a handler that means well and the
// connection: it changes headers, stops in the body and cuts, as planned.
type wire struct {
	origin  *Origin
	plan    *plan
	sink    sink
	release func() // the request does not count as active any more

	header http.Header
	bodily bool // this response may have a body
	status int
	sent   int64
	left   int64  // body bytes still to come from the handler; -1: not known
	stops  []stop // those to come
	err    error  // nothing goes out any more
	reset  bool   // the connection ends by a reset
}

var errStopped = errors.New("response stopped")

// sink takes a response to the client. finish or abort is called once, last.
type sink interface {
	head(status int, header http.Header, framing framing) error
	write(p []byte) error
	flush()
	gone() <-chan struct{} // closed when the client has gone
	finish()
	abort(reset bool)
}

func newWire(o *Origin, p *plan, rw http.ResponseWriter, r *http.Request, release func()) *wire {
	w := &wire{
		origin: o, plan: p, release: release,
		header: http.Header{}, bodily: r.Method != http.MethodHead, left: -1, stops: p.stops,
	}
	switch {
	case !p.raw():
		w.sink = &politeSink{rw: rw, control: http.NewResponseController(rw), request: r}
	case r.ProtoMajor != 1:
		o.t.Errorf("testorigin: an option of %s needs HTTP/1.1", p.request.Path)
		panic(http.ErrAbortHandler)
	default:
		w.sink = newRawSink(o, rw)
	}
	return w
}

// raw reports whether net/http would refuse to send this.
func (p *plan) raw() bool {
	for _, s := range p.stops {
		if s.kind == stopReset {
			return true
		}
	}
	return p.framing == byClose || p.length != ""
}

func (w *wire) Header() http.Header { return w.header }

func (w *wire) WriteHeader(status int) {
	if w.status != 0 || w.err != nil {
		return
	}
	w.status = status
	w.bodily = w.bodily && status != http.StatusNoContent && status != http.StatusNotModified
	w.planHeader()
	if !w.bodily || w.left == 0 {
		w.release()
	}
	w.err = w.sink.head(status, w.header, w.plan.framing)
	w.stop()
}

// planHeader makes the headers of a good response those of the plan.
func (w *wire) planHeader() {
	p := w.plan
	if n, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil {
		w.left = n
	}
	if p.noRanges {
		w.header.Del("Accept-Ranges")
	}
	for key, values := range p.header {
		w.header[key] = values
	}
	p.adjustSpan(w.status, w.header)
	if p.framing != byLength {
		w.header.Del("Content-Length")
	} else if p.length != "" {
		w.header.Set("Content-Length", p.length)
	}
}

// Write sends b piece by piece, up to where the plan wants something done.
func (w *wire) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if !w.bodily {
		return len(b), w.err
	}
	written := 0
	for len(b) > 0 && w.err == nil {
		n := w.piece(len(b))
		if w.left >= 0 {
			w.left -= int64(n)
		}
		if w.left == 0 {
			w.release() // before the client can know that it has all
		}
		if w.err = w.sink.write(b[:n]); w.err != nil {
			break
		}
		w.sent += int64(n)
		written += n
		b = b[n:]
		w.stop()
		w.dripped()
	}
	return written, w.err
}

// piece returns how many of n bytes may go before the next stop.
func (w *wire) piece(n int) int {
	if len(w.stops) > 0 {
		n = int(min(int64(n), w.stops[0].at-w.sent))
	}
	if d := w.plan.drip; d > 0 {
		n = int(min(int64(n), d-w.sent%d))
	}
	return n
}

// stop does what is planned for the offset that has been reached.
func (w *wire) stop() {
	for w.err == nil && len(w.stops) > 0 && w.stops[0].at <= w.sent {
		s := w.stops[0]
		w.stops = w.stops[1:]
		w.sink.flush()
		if s.kind == stopWait {
			w.wait(s.gate)
			continue
		}
		w.reset = s.kind == stopReset
		w.err = errStopped
	}
}

func (w *wire) dripped() {
	if d := w.plan.drip; d > 0 && w.sent%d == 0 && w.left != 0 && w.err == nil {
		w.sink.flush()
		w.wait(w.plan.dripGate)
	}
}

func (w *wire) wait(gate <-chan struct{}) {
	if !w.origin.wait(gate, w.sink.gone()) {
		w.err = errStopped
	}
}

func (w *wire) finish() {
	w.WriteHeader(http.StatusOK)
	w.release()
	if w.err != nil {
		w.sink.abort(w.reset)
		return
	}
	w.sink.finish()
}
