package transfer

import (
	"errors"
	"io"
	"net/url"
	"strconv"
	"strings"
)

// Reasons, found in an [*Error] with errors.Is.
var (
	ErrStalled          = errors.New("the server went silent")
	ErrTooLarge         = errors.New("larger than allowed")
	ErrTooSmall         = errors.New("smaller than required")
	ErrCut              = errors.New("the server's answer was cut short")
	ErrEncoded          = errors.New("the server sent the body encoded although asked not to")
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
}

func (e *StatusError) Error() string { return "get " + e.URL + ": " + e.Status }

// fail makes the error of something that failed on the way: the end of the
// caller's context, a stall, or err.
func (f *fetch) fail(op string, offset int64, err error) error {
	switch ended, stalled := f.watch.ended(); {
	case ended != nil:
		return ended
	case stalled:
		err = ErrStalled
	default:
		err = f.clean(err)
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
		return cleanError{text: ErrCut.Error(), err: errors.Join(ErrCut, err)}
	}
	text := f.secrets().hide(shown(err.Error()))
	if text == err.Error() {
		return err
	}
	return cleanError{text: text, err: err}
}

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
