package transfer

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
)

// Reasons, found in an [*Error] with errors.Is.
var (
	ErrStalled          = errors.New("the server went silent")
	ErrTooLarge         = errors.New("larger than allowed")
	ErrTooSmall         = errors.New("smaller than required")
	ErrCut              = errors.New("the server's answer was cut short")
	ErrEncoded          = errors.New("the server sent the body encoded although asked not to, so it is not the file itself: use another URL or a mirror")
	ErrInsecureRedirect = errors.New("redirected from https to http, which anybody on the way could change: use the other URL itself if you trust it")
	ErrTooManyRedirects = errors.New("stopped after 10 redirects")
	ErrBadRedirect      = errors.New("redirected to something that is not an http or https URL")

	errRedirectForbidden = errors.New("the client's own rules forbid the redirect")
	errTooLong           = errors.New("the body is longer than its announced length")
)

// Error is a failure on the way.
type Error struct {
	Op     string // "get", "follow redirect", "check", "read"
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
	Limit      RateLimit
}

// RateLimit is what an answer says of the client's quota.
type RateLimit struct {
	Exhausted bool
	Reset     string // as sent: seconds from now, or since 1970; "" if it does not say
}

func (e *StatusError) Error() string { return "get " + e.URL + ": " + e.Status }

// fail makes the error of something that failed on the way: the end of the
// caller's context, a stall, or err.
func (f *fetch) fail(op string, offset int64, err error) error {
	refused, anonymous := errors.AsType[*proxyRefusal](err)
	switch ended, stalled := f.watch.ended(); {
	case ended != nil:
		return ended
	case stalled:
		err = ErrStalled
	case anonymous:
		return &StatusError{Code: http.StatusProxyAuthRequired, Status: f.quote(refused.status), URL: Redact(f.at)}
	default:
		err = f.clean(err)
		if f.cutsShort(op, err) {
			err = cut{err}
		}
	}
	return &Error{Op: op, URL: Redact(f.at), Offset: offset, Err: err}
}

// clean takes off an error what net/http, a proxy or a transport of the caller's
// own put there: URLs with their secrets, lines of the server's answer.
func (f *fetch) clean(err error) error {
	for {
		ue, ok := errors.AsType[*url.Error](err)
		if !ok {
			break
		}
		err = ue.Err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return cut{}
	}
	text := f.secrets().hide(shown(err.Error()))
	if text == err.Error() {
		return err
	}
	return cleanError{text: text, err: err}
}

// cutsShort reports whether a failure means that the answer stopped coming,
// other than by its end or by somebody's time-out: the connection was reset, or
// a stream in a connection that carries many. What HTTP/2 says then has no type
// that could be asked for, so all of it counts.
func (f *fetch) cutsShort(op string, err error) bool {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return false
	}
	_, stream := errors.AsType[streamError](err)
	_, reset := errors.AsType[syscall.Errno](err)
	return stream || op == "read" && (reset || f.muxed)
}

// streamError has the form that net/http's own error for the end of an HTTP/2
// stream can be read into.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "stream error" }

// cut is an answer that was cut short, in the words of what cut it if there are
// any. It is ErrCut, io.ErrUnexpectedEOF, and that.
type cut struct{ by error }

func (e cut) Error() string {
	if e.by == nil {
		return ErrCut.Error()
	}
	return ErrCut.Error() + ": " + e.by.Error()
}

func (e cut) Is(target error) bool { return target == ErrCut || target == io.ErrUnexpectedEOF }

// Unwrap returns what cut it.
func (e cut) Unwrap() error { return e.by }

// cleanError is an error with another text. What it stands for can be asked of
// it, but it does not unwrap: whoever prints a whole chain must not find the
// text that was replaced.
type cleanError struct {
	text string
	err  error
}

func (e cleanError) Error() string        { return e.text }
func (e cleanError) Is(target error) bool { return errors.Is(e.err, target) }
func (e cleanError) As(target any) bool   { return errors.As(e.err, target) }

// withheld says that an error's text ends before its end.
const withheld = " (details withheld: they may hold secrets)"

// shown returns an error's text up to where it begins to quote something or to
// name a URL, without what could move a terminal's cursor.
func shown(text string) string {
	before, _, cut := strings.Cut(text, `"`)
	if at := strings.Index(before, "://"); at >= 0 {
		before, cut = before[:1+strings.LastIndexByte(before[:at], ' ')], true
	}
	before = printable(before)
	if cut {
		before = strings.TrimRight(before, " :'") + withheld
	}
	return before
}
