package testorigin

import (
	"bytes"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Option changes how a resource answers.
type Option func(*plan)

// plan is the answer to one request, as the options have made it.
type plan struct {
	request Request
	index   int // which request of this path it is, from 0

	body      io.ReaderAt
	size      int64
	gzip      bool
	status    int         // 0: what the request asks for (200, 206, 304, 416)
	header    http.Header // sent as it is, with any status
	modified  time.Time
	noRanges  bool
	reask     func(first, last int64) string // the Range to answer instead; nil: the one that came
	noIfRange bool
	span      *string     // Content-Range of a 206; nil: what is sent
	enter     func() bool // takes the only place for requests of this path
	denied    *denial
	framing   framing
	length    string // Content-Length on the wire, whatever the body is

	gates    []<-chan struct{} // waited for before the headers
	drop     bool
	stops    []stop // in the body
	drip     int64  // 0: none
	dripGate <-chan struct{}
}

// framing says how the end of the body is told.
type framing int

const (
	byLength framing = iota // unless the length is not known
	byChunks
	byClose
)

// All is several options in one, for a step of [Sequence].
func All(opts ...Option) Option {
	return func(p *plan) {
		for _, opt := range opts {
			opt(p)
		}
	}
}

// OK changes nothing: the well-behaved step of a [Sequence].
func OK() Option { return All() }

// Sequence applies the first step to the first request for the path, the
// second to the second, and so on; the last step goes for all that follow.
func Sequence(steps ...Option) Option {
	return func(p *plan) {
		if len(steps) > 0 {
			steps[min(p.index, len(steps)-1)](p)
		}
	}
}

// WhenConditional applies the option to requests that ask whether what they hold
// is current (RFC 9110, section 13.1).
func WhenConditional(opt Option) Option {
	return func(p *plan) {
		if p.request.Header.Get("If-None-Match") != "" || p.request.Header.Get("If-Modified-Since") != "" {
			opt(p)
		}
	}
}

// Body replaces the body, as a new release of the content does.
func Body(body []byte) Option {
	return func(p *plan) { p.body, p.size = bytes.NewReader(body), int64(len(body)) }
}

// Size makes the body the first size bytes of [Content].
func Size(size int64) Option {
	return func(p *plan) { p.body, p.size = pattern{}, size }
}

// Endless makes the body one that has no end and no announced length; its
// beginning is that of [Content]. With [Status], after it, the error's body is
// that status text; before it, the error's body is endless.
func Endless() Option {
	return All(Size(math.MaxInt64), NoLength())
}

// Status answers with an error code (or any other) and a plain-text body.
func Status(code int, body string) Option {
	return func(p *plan) {
		Body([]byte(body))(p)
		p.status = code
	}
}

// RetryAfter sends a Retry-After header, as it is.
func RetryAfter(value string) Option { return Header("Retry-After", value) }

// Redirect answers with a code (301, 302, 303, 307, 308) and a Location, which
// is sent as it is and may be relative.
func Redirect(location string, code int) Option {
	return All(Status(code, ""), Header("Location", location))
}

// RedirectLoop answers with a redirect to the very URL that was asked for.
func RedirectLoop(code int) Option {
	return func(p *plan) {
		to := p.request.Path
		if p.request.RawQuery != "" {
			to += "?" + p.request.RawQuery
		}
		Redirect(to, code)(p)
	}
}

// Header sends a header, as it is, with every status. It does not serve for
// Content-Length; see [ContentLength].
func Header(key, value string) Option {
	return func(p *plan) { p.header.Set(key, value) }
}

// ETag sends an entity tag as it is, so that it may be strong (`"v1"`), weak
// (`W/"v1"`) or malformed (`v1`). Conditional requests are answered by it.
func ETag(value string) Option { return Header("ETag", value) }

// LastModified sends the date, by which conditional requests are answered too.
func LastModified(date time.Time) Option {
	return func(p *plan) { p.modified = date }
}

// ContentType sends a Content-Type; without it, it is application/octet-stream.
func ContentType(value string) Option { return Header("Content-Type", value) }

// ContentDisposition sends a Content-Disposition, as it is.
func ContentDisposition(value string) Option { return Header("Content-Disposition", value) }

// StoredLength sends x-goog-stored-content-length, the hint of a store that
// does not send a Content-Length; see [NoLength].
func StoredLength(bytes int64) Option {
	return Header("X-Goog-Stored-Content-Length", strconv.FormatInt(bytes, 10))
}

// Gzip sends the body compressed and says so, whether or not the client wants
// it. The body is compressed in memory.
func Gzip() Option {
	return func(p *plan) { p.gzip = true }
}

// NoRanges ignores Range headers and does not send Accept-Ranges. With
// Header("Accept-Ranges", "bytes") the server lies about it.
func NoRanges() Option {
	return func(p *plan) { p.noRanges = true }
}

// NoLength sends no Content-Length: the body comes in chunks.
func NoLength() Option {
	return func(p *plan) { p.framing = byChunks }
}

// CloseDelimited answers as HTTP/1.0 does: no Content-Length, and the end of
// the connection is the end of the body.
func CloseDelimited() Option {
	return func(p *plan) { p.framing = byClose }
}

// ContentLength sends this Content-Length, which may be wrong, broken
// ("9223372036854775808") or no number at all, with an unchanged body. The
// connection is closed after the body.
func ContentLength(value string) Option {
	return func(p *plan) { p.framing, p.length = byLength, value }
}
