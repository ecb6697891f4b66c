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
}

// Sink is where a transfer puts what it receives. Its methods are called one
// after the other; the stall time-out does not run meanwhile. An error ends the
// transfer and is returned as it is.
type Sink interface {
	// Start is called once, when the headers of an acceptable response are
	// there, before the first byte.
	Start(Head) error
	io.WriterAt
}

// Head is what the headers of a response say.
type Head struct {
	Total           int64  // bytes: Content-Length, else x-goog-stored-content-length, else -1
	Exact           bool   // Total is the Content-Length
	Proven          bool   // the framing proves the end of the body; false: it ends with the connection
	FinalURL        string // the one that answered, without secrets
	ETag            string // as sent
	LastModified    string // as sent
	ContentType     string // as sent
	DispositionName string // the file name that Content-Disposition proposes, if any
}

// Result is what arrived.
type Result struct {
	Head
	N      int64  // bytes stored
	CRC32C uint32 // over them, with the Castagnoli polynomial (RFC 3720)
}

// Fetch performs the request and stores its body in sink. When ctx ends, it
// returns the context's cause at once, unless an answer or the sink had failed
// before. Failures on the way are an [*Error], answers that are no file a
// [*StatusError].
func Fetch(ctx context.Context, req Request, sink Sink) (Result, error) {
	w := newWatch(ctx, req.Stall)
	defer w.stop()
	f := &fetch{req: req, watch: w}
	resp, err := f.respond()
	if err != nil {
		return Result{}, err
	}
	defer resp.Body.Close() // reading has shown whether it is whole
	head, err := f.accept(resp)
	if err != nil {
		return Result{}, err
	}
	if err := sink.Start(head); err != nil {
		return Result{}, err
	}
	return f.receive(resp.Body, head, sink)
}

// fetch is one call of Fetch.
type fetch struct {
	req     Request
	watch   *watch
	at      *url.URL        // of the latest request
	private bool            // the latest request may carry what is private
	via     []*http.Request // the requests so far
}
