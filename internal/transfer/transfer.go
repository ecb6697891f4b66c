// Package transfer brings one resource over HTTP into a sink: one GET, its
// redirects, the checks on the response, and the copy.
//
// Call [Fetch]. It says what arrived and how sure that is; where the bytes go,
// and whether to try again, is the caller's business.
package transfer

import (
	"context"
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
	Digested  bool          // the caller is going to hold a digest against the whole: then After goes on without a validator, too, and from another URL
	Tap       Tap           // gets the chunks that were stored. nil: nobody
	Throttle  Throttle      // nil: none
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
	N      int64  `json:"n"`      // bytes stored
	CRC32C uint32 `json:"crc32c"` // over them, with the Castagnoli polynomial (RFC 3720)
	From   Source `json:"from"`   // what sent them
}

// Source is a resource, without the secrets of its URL.
type Source struct {
	URL   string `json:"url"`             // up to the path
	Query string `json:"query,omitempty"` // its hash; "" if there is none
}

// Fetch performs the request and stores its body in sink. When ctx ends, it
// returns the context's cause at once, unless an answer or the sink had failed
// before. Failures on the way are an [*Error], answers that are no file a
// [*StatusError]. The result tells what is stored also after a failure: a later
// Fetch can go on from it.
func Fetch(ctx context.Context, req Request, sink Sink) (Result, error) {
	w := newWatch(ctx, req.Stall)
	defer w.stop()
	f := &fetch{req: req, watch: w}
	if req.After != nil {
		f.have = *req.After
		f.ranged = f.have.N > 0 && (f.have.validator() != "" || req.Digested)
	}
	resp, v, err := f.exchange()
	if err != nil {
		return f.have, err
	}
	defer resp.Body.Close() // reading has shown whether it is whole
	if err := sink.Start(f.have.Head, f.have.From, f.have.N); err != nil {
		return f.have, err
	}
	if v == complete {
		return f.have, f.whole(f.have)
	}
	f.muxed = resp.ProtoMajor >= 2
	return f.receive(resp.Body, f.have, sink)
}

// exchange asks until there is an answer to take, for the rest if that is safe,
// and sets what we have and what the answer's head says.
func (f *fetch) exchange() (*http.Response, verdict, error) {
	for {
		resp, err := f.respond()
		if err != nil {
			return nil, refused, err
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
		return resp, v, nil
	}
}

// fetch is one call of Fetch.
type fetch struct {
	req     Request
	watch   *watch
	at      *url.URL        // of the latest request
	private bool            // the latest request may carry what is private
	via     []*http.Request // the requests of this exchange so far
	past    []*http.Request // those of earlier exchanges
	have    Result          // what is stored
	ranged  bool            // ask for the rest
	plain   bool            // and without If-Range
	muxed   bool            // the answer's connection carries several streams (HTTP/2 and later)
}
