package transfer

import (
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Reasons, found in an [*Error] with errors.Is.
var (
	ErrStalled           = errors.New("the server went silent")
	ErrTooLarge          = errors.New("larger than allowed")
	ErrTooSmall          = errors.New("smaller than required")
	ErrCut               = errors.New("the body was cut short")
	ErrEncoded           = errors.New("the server sent the body encoded although asked not to")
	ErrInsecureRedirect  = errors.New("redirected from https to http, which anybody on the way could change: use the other URL itself if you trust it")
	ErrTooManyRedirects  = errors.New("stopped after 10 redirects")
	ErrBadRedirect       = errors.New("redirected to something that is not an http or https URL")
	errBadContentLength  = errors.New("the announced length makes no sense")
	errRedirectForbidden = errors.New("the client's own rules forbid the redirect")
)

// Error is a failure on the way.
type Error struct {
	Op     string // "get", "follow redirect", "read", "check"
	URL    string // without secrets
	Offset int64  // bytes stored so far
	Err    error
}

func (e *Error) Error() string {
	return e.Op + " " + e.URL + " at byte " + strconv.FormatInt(e.Offset, 10) + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// StatusError is an answer that is not a file.
type StatusError struct {
	Code       int
	Status     string // as sent, printable
	URL        string // without secrets
	Message    string // the first printable bytes of a body that is text
	RetryAfter string // as sent
}

func (e *StatusError) Error() string { return "get " + e.URL + ": " + e.Status }

// quotedError is an error whose text may hold a URL or another thing that came
// with it; only what stands before the first quote is shown. The error itself
// stays reachable.
type quotedError struct{ err error }

func (e quotedError) Error() string {
	text, _, cut := strings.Cut(e.err.Error(), "\"")
	if cut {
		text = strings.TrimRight(text, " :") + " (details withheld: they may hold secrets)"
	}
	return text
}

func (e quotedError) Unwrap() error { return e.err }

// plain takes the URL off an error of net/http: it may hold secrets. Errors of
// the dialer and of TLS name hosts and addresses only; all else is cut where it
// begins to quote.
func plain(err error) error {
	for {
		ue, ok := errors.AsType[*url.Error](err)
		if !ok {
			break
		}
		err = ue.Err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return cutError{err}
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return err
	}
	if strings.Contains(err.Error(), "\"") {
		return quotedError{err}
	}
	return err
}

// cutError is ErrCut with its cause.
type cutError struct{ err error }

func (e cutError) Error() string   { return ErrCut.Error() }
func (e cutError) Unwrap() []error { return []error{ErrCut, e.err} }
