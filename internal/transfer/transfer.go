// Package transfer brings one resource over HTTP into a sink: one GET, its
// redirects, the checks on the response, and the copy.
//
// Call [Fetch]. It says what arrived and how sure that is; where the bytes go,
// and whether to try again, is the caller's business.
package transfer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Request is one GET.
type Request struct {
	URL       *url.URL      // http or https; its userinfo becomes basic auth for its own origin
	Header    http.Header   // sent to the URL's own origin only
	UserAgent string        // sent to every host
	MinSize   int64         // bytes; a smaller body fails with ErrTooSmall. 0: none
	MaxSize   int64         // bytes; a larger body fails with ErrTooLarge. 0: none
	Stall     time.Duration // longest silence before the headers, and between bytes. 0: none
	Client    *http.Client  // required. Its CheckRedirect is asked, too; its Timeout is left alone
	After     *Result       // what an earlier request brought; only the rest is asked for if that is safe. nil: nothing
	Held      *Held         // what the caller has; ErrUnmodified says that it is still current. nil: nothing
	Digested  bool          // the caller is going to hold a digest against the whole: then After goes on without a validator, too, and from another URL
	Tap       Tap           // gets the chunks that were stored. nil: nobody
	Throttle  Throttle      // nil: none
	// Connections is how many may receive at once; a second one joins only if it
	// helps, or at once if Fixed. 0 and 1: one.
	Connections int
	Fixed       bool
	Company     Company // is asked for those beyond the first. nil: nobody is
}

// Company says how many connections beyond the first there may be at the moment.
// Several goroutines may call it at once, as long as the transfer runs.
type Company interface {
	// Connect takes a place for one more, and returns what gives it back.
	Connect() (release func(), ok bool)
	// Crowded returns how many of them should be given back to others.
	Crowded() int
	// Refused is told of a refusal of one of them.
	Refused(*StatusError)
}

// Tap is who follows the bytes as they are stored, from memory. The chunk is
// his until he calls release, once, from whatever goroutine.
type Tap interface {
	Take(ctx context.Context, chunk []byte, off int64, release func())
}

// Throttle bounds the rate of reading.
type Throttle interface {
	// Quantum is how many bytes may be read at a time, at most.
	Quantum() int
	// Pay waits until it is in order that n bytes were read. The stall time-out
	// does not run meanwhile. The error says that ctx ended.
	Pay(ctx context.Context, n int) error
}

// Sink is where a transfer puts what it receives. Its methods are called one
// after the other; the stall time-out does not run meanwhile. An error ends the
// transfer and is returned as it is.
type Sink interface {
	// Start is called once, when the headers of an acceptable response are
	// there, before the first byte. Bytes will come from the offset at: where
	// Request.After ended, or 0 when the file begins anew.
	Start(head Head, from Source, at int64) error
	io.WriterAt
	// Stored is called when n bytes more are stored. The result is to be read
	// during the call only.
	Stored(stored *Result, n int) error
}

// Head is what the headers of a response say.
type Head struct {
	Total           int64  `json:"total"`                  // bytes: Content-Length, else x-goog-stored-content-length, else -1
	Exact           bool   `json:"exact,omitempty"`        // Total is the Content-Length
	Proven          bool   `json:"proven,omitempty"`       // the framing proves the end of the body; false: it ends with the connection
	FinalURL        string `json:"finalURL,omitempty"`     // the one that answered, without secrets
	ETag            string `json:"etag,omitempty"`         // as sent
	LastModified    string `json:"lastModified,omitempty"` // as sent
	Date            string `json:"date,omitempty"`         // as sent
	ContentType     string `json:"contentType,omitempty"`  // as sent
	DispositionName string `json:"disposition,omitempty"`  // the file name that Content-Disposition proposes, if any
}

// Resumable reports whether the rest of such an answer can be asked for later,
// with a proof that it is the rest of the same.
func (h Head) Resumable() bool { return h.validator() != "" }

// Result is what arrived. It can be kept, as JSON, for a Fetch in another
// process: there are no secrets in it.
type Result struct {
	Head   `json:"head"`
	N      int64   `json:"n"`      // bytes stored
	CRC32C uint32  `json:"crc32c"` // over them, with the Castagnoli polynomial (RFC 3720), if they are in one piece from the beginning
	Ranges []Range `json:"ranges"` // nil if they are; else which they are
	From   Source  `json:"from"`   // what sent them
	// Connections is how many are receiving. Only a Sink that is told sees it.
	Connections int `json:"-"`
}

// Source is a resource, without the secrets of its URL.
type Source struct {
	URL   string `json:"url"`             // up to the path
	Query string `json:"query,omitempty"` // its hash; "" if there is none
}

// Fetch performs the request and stores its body in sink. When ctx ends, it
// returns the context's cause at once, unless an answer or the sink had failed
// before. Failures on the way are an [*Error], answers that are no file a
// [*StatusError]. With ErrUnmodified the result has the answer's head alone. The result tells what is stored also after a failure: a later
// Fetch can go on from it.
func Fetch(ctx context.Context, req Request, sink Sink) (Result, error) {
	result, err := newRun(&req, req.After).fetchInto(ctx, sink)
	if errors.Is(err, errChanged) {
		// Not all answers were of one version, and nobody knows of which one what
		// is stored is: the whole file, over one connection.
		req.Connections = 1
		result, err = newRun(&req, nil).fetchInto(ctx, sink)
	}
	return result, err
}

// run is one attempt of Fetch: what it needs is one allocation.
type run struct {
	fetch fetch
	watch watch
	board board
	line  line
	team  team
}

// newRun returns the attempt when have is stored; nil: nothing.
func newRun(req *Request, have *Result) *run {
	r := &run{}
	r.fetch.req, r.fetch.watch = *req, &r.watch
	if have != nil {
		r.fetch.have = *have
	}
	return r
}

// fetchInto is Fetch, but that the answers may turn out to be of several versions.
func (r *run) fetchInto(ctx context.Context, sink Sink) (Result, error) {
	f := &r.fetch
	r.watch.begin(ctx, f.req.Stall)
	defer r.watch.stop()
	f.ranged = f.have.N > 0 && (f.have.validator() != "" || f.req.Digested)
	_, f.until = f.have.gap()
	begun := time.Now()
	resp, v, err := f.exchange()
	if err != nil {
		return f.have, err
	}
	defer resp.Body.Close() // reading has shown whether it is whole
	if v == unmodified {
		head := readHead(resp)
		head.FinalURL = Redact(f.at)
		return Result{Head: head, From: sourceOf(f.at)}, ErrUnmodified
	}
	f.wantsBody = true
	if err := sink.Start(f.have.Head, f.have.From, f.have.N); err != nil {
		return f.have, err
	}
	if v == complete {
		return f.have, f.whole(f.have)
	}
	f.muxed = resp.ProtoMajor >= 2
	f.direct, f.directPrivate = f.at, f.private // another request of the URL could be led elsewhere
	r.board.begin(&f.have, sink, f.req.Tap, r.watch.End)
	r.board.latency = time.Since(begun)
	return r.receive(ctx, resp)
}

// receive receives an answer's body, with the help of others if that helps.
func (r *run) receive(ctx context.Context, resp *http.Response) (Result, error) {
	f, b, l, t := &r.fetch, &r.board, &r.line, &r.team
	l.fetch, l.board = f, b
	b.running = 1
	l.part = b.take(l)
	t.begin(ctx, b, l, resp)
	err := l.run(resp.Body)
	t.end(err)
	if err == nil && b.failure == nil { // what the others have left
		if l.part = b.take(l); l.part != nil {
			err = l.run(nil)
		}
	}
	if errors.Is(err, errRefused) {
		err = errChanged // it cannot be had in parts, and not as one any more
	}
	result := b.snapshot()
	switch {
	case b.failure != nil:
		return result, b.failure
	case errors.Is(err, errTooLong):
		return result, err
	case b.remaining() == 0:
		return result, f.whole(result)
	case err == nil:
		err = &Error{Op: "read", URL: result.FinalURL, Offset: result.N, Err: cut{}}
	}
	return result, err
}

// exchange asks until there is an answer to take, for the rest if that is safe,
// and sets what we have and what the answer's head says.
func (f *fetch) exchange() (*http.Response, verdict, error) {
	for {
		resp, err := f.respond()
		if err != nil {
			return nil, refused, err
		}
		if resp.StatusCode == http.StatusNotModified && f.conditional {
			if f.unmodified(resp) {
				return resp, unmodified, nil
			}
			f.wantsBody = true
			_ = resp.Body.Close()
			continue
		}
		v, total := whole, int64(-1)
		if f.ranged {
			v, total = f.have.judge(reply{
				status: resp.StatusCode, header: resp.Header, length: resp.ContentLength,
				plain: f.plain, elsewhere: !f.have.isFrom(f.at), digested: f.req.Digested,
			})
		}
		switch v {
		case askPlain:
			f.plain = true
			_ = resp.Body.Close()
			continue
		case startOver:
			f.ranged = false
			_ = resp.Body.Close()
			continue
		case complete:
			f.have.Total, f.have.Exact, f.have.Proven = total, true, true
			return resp, v, nil
		}
		if err := f.accept(resp, v, total); err != nil {
			_ = resp.Body.Close()
			return nil, v, err
		}
		if v == rest && f.have.isAll() {
			v = complete
		}
		return resp, v, nil
	}
}

// fetch is one call of Fetch.
type fetch struct {
	req           Request
	watch         *watch
	at            *url.URL        // of the latest request
	private       bool            // the latest request may carry what is private
	via           []*http.Request // the requests of this exchange so far
	past          []*http.Request // those of earlier exchanges
	room          [1]*http.Request
	have          Result   // what is stored
	ranged        bool     // ask for the rest
	plain         bool     // and without If-Range
	until         int64    // and no more than up to here; 0, -1 and what is not less than the total: all
	direct        *url.URL // where to ask instead of the request's URL: who answered another request
	directPrivate bool     // what is private may go there
	conditional   bool     // the latest request asks whether what is held is current
	wantsBody     bool     // it is not asked any more
	muxed         bool     // the answer's connection carries several streams (HTTP/2 and later)
}
