package dlmanager

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/transfer"
)

// Errors to decide by, with [errors.Is].
var (
	// ErrCanceled is the outcome of a download that was cancelled.
	ErrCanceled = errors.New("download cancelled")
	// ErrInterrupted is the outcome of a download that was stopped to go on later.
	ErrInterrupted = errors.New("download interrupted")
	// ErrClosed is the outcome of a download asked of a closed manager.
	ErrClosed = errors.New("download manager is closed")
	// ErrInvalidName is matched by the refusal of a name that is not portable or
	// would lead out of the directory.
	ErrInvalidName = fs.ErrInvalidName
	// ErrNameTaken is matched by the refusal of a name that stands for something
	// else: a name derived from the URL that another URL's file has, or a name
	// that some file systems cannot tell from that of a file in the directory.
	ErrNameTaken = errors.New("name is taken")
	// ErrNotCacheDir is matched by the refusal to evict from a directory that
	// holds files and does not carry the mark of a cache.
	ErrNotCacheDir = fs.ErrNotCacheDir
	// ErrFormat is matched when a cache directory was made by a newer program, or
	// its mark cannot be read.
	ErrFormat = fs.ErrFormat
	// ErrNotCached is matched when a file is not in the cache, or not any more, and is
	// not to be fetched.
	ErrNotCached = errors.New("not in the cache")
	// ErrInUse is matched by the refusal to remove a file that somebody has open, or
	// that is being downloaded.
	ErrInUse = errors.New("in use")
	// ErrNotFound is matched by a StatusError with 404 or 410.
	ErrNotFound = errors.New("not found")
	// ErrTooLarge is matched when a body is larger than WithMaxSize allows.
	ErrTooLarge = transfer.ErrTooLarge
	// ErrTooSmall is matched when a body is smaller than WithMinSize allows.
	ErrTooSmall = transfer.ErrTooSmall
	// ErrStalled is matched when the server was silent for the stall time-out.
	ErrStalled = transfer.ErrStalled
)

// StatusError is an answer that is not a file. It matches ErrNotFound for 404
// and 410.
type StatusError struct {
	Code       int           // RFC 9110, section 15
	Status     string        // as sent, for example "404 Not Found"
	URL        string        // the one that answered, without secrets
	Message    string        // the first printable bytes of the body, if it is text
	RetryAfter time.Duration // what the server asked to wait; 0 if it did not
	Exhausted  bool          // it says that our quota of requests is used up (X-RateLimit-Remaining: 0)
}

func (e *StatusError) Error() string {
	text := "server answered " + e.Status
	if e.Message != "" && !strings.Contains(e.Status, e.Message) {
		text += " (" + e.Message + ")"
	}
	return e.URL + ": " + text
}

// Is makes 404 and 410 match ErrNotFound.
func (e *StatusError) Is(target error) bool {
	return target == ErrNotFound && (e.Code == http.StatusNotFound || e.Code == http.StatusGone)
}

// isLimited reports whether it is the number of requests that the server minds.
func (e *StatusError) isLimited() bool { return e.RetryAfter > 0 || e.Exhausted }

// TransferError is a failure on the way: to connect, to be understood, or to be
// read to the end.
type TransferError struct {
	Op     string // what was being done, for example "connect" or "read"
	URL    string // without secrets
	Offset int64  // bytes that had arrived
	Err    error
}

func (e *TransferError) Error() string {
	text := e.URL + ": " + e.Op
	if e.Offset > 0 {
		text += " at byte " + strconv.FormatInt(e.Offset, 10)
	}
	return text + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *TransferError) Unwrap() error { return e.Err }

// NameTakenError is ErrNameTaken with the names.
type NameTakenError struct {
	Name string // the name that was asked for
	By   string // the file that has it, or that is too much like it
	twin bool
}

func (e *NameTakenError) Error() string {
	if e.twin {
		return fmt.Sprintf("name %q is taken: %q is there, and some file systems cannot tell the two apart: give another name", e.Name, e.By)
	}
	return fmt.Sprintf("name %q is taken by the file of another URL: give a name of your own", e.Name)
}

// Is makes it match ErrNameTaken.
func (e *NameTakenError) Is(target error) bool { return target == ErrNameTaken }

// NotCachedError is ErrNotCached with the name.
type NotCachedError struct {
	Name    string // that was asked for
	Offline bool   // it may not be fetched
	why     string // "": no file is there
}

func (e *NotCachedError) Error() string {
	text := fmt.Sprintf("%q is not in the cache", e.Name)
	if e.why != "" {
		text = fmt.Sprintf("%q in the cache cannot be used: %s", e.Name, e.why)
	}
	if e.Offline {
		text += ", and nothing may be fetched: offline"
	}
	return text
}

// Is makes it match ErrNotCached.
func (e *NotCachedError) Is(target error) bool { return target == ErrNotCached }

// fromTransfer turns the transfer's errors into the package's own.
func fromTransfer(err error) error {
	if status, ok := errors.AsType[*transfer.StatusError](err); ok {
		e := &StatusError{
			Code: status.Code, Status: status.Status, URL: status.URL, Message: status.Message,
			RetryAfter: parseRetryAfter(status.RetryAfter, time.Now()), Exhausted: status.Limit.Exhausted,
		}
		if e.RetryAfter == 0 && e.Exhausted {
			e.RetryAfter = parseReset(status.Limit.Reset, time.Now())
		}
		return e
	}
	if failed, ok := errors.AsType[*transfer.Error](err); ok {
		return &TransferError{Op: failed.Op, URL: failed.URL, Offset: failed.Offset, Err: failed.Err}
	}
	return err
}

// maxRetryAfter caps what a server may ask for: a day is longer than anybody
// waits, and a typo in a header must not stop a job for a year.
const maxRetryAfter = 24 * time.Hour

// parseRetryAfter reads a Retry-After field: seconds or a date (RFC 9110,
// section 10.2.3). Anything else, and the past, is 0.
func parseRetryAfter(field string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(field, 10, 64); err == nil {
		return min(max(0, time.Duration(min(seconds, int64(maxRetryAfter/time.Second)))*time.Second), maxRetryAfter)
	}
	at, err := http.ParseTime(field)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(now)), maxRetryAfter)
}

// epoch tells seconds since 1970 (GitHub) from seconds from now (RFC drafts): a
// billion of the latter are 31 years.
const epoch = 1_000_000_000

// parseReset reads when a quota is filled again. Anything else is 0.
func parseReset(field string, now time.Time) time.Duration {
	seconds, err := strconv.ParseInt(field, 10, 64)
	if err != nil || seconds < epoch {
		return parseRetryAfter(field, now)
	}
	return min(max(0, time.Unix(seconds, 0).Sub(now)), maxRetryAfter)
}

// temporaryStatus lists the answers that may be others later: RFC 9110 408,
// RFC 8470 425, RFC 6585 429, the server errors that mean a passing state, and
// two that content delivery networks use for an unreachable origin.
var temporaryStatus = map[int]bool{
	408: true, 425: true, 429: true, 500: true, 502: true, 503: true, 504: true, 522: true, 524: true,
}

// SourcesError says that every source of a download has failed, its URL and its
// mirrors. It matches whatever one of them failed with.
type SourcesError struct {
	Errs []error // in the order in which the sources were asked
}

func (e *SourcesError) Error() string {
	texts := make([]string, len(e.Errs))
	for i, err := range e.Errs {
		texts[i] = err.Error()
	}
	return fmt.Sprintf("all %d sources failed: %s", len(e.Errs), strings.Join(texts, "; "))
}

// Unwrap returns the failures.
func (e *SourcesError) Unwrap() []error { return e.Errs }

// IsTemporary reports whether the same download, tried again later, may go
// well; with several sources, whether it may with one of them. So it is after
// connect failures, time-outs, stalls, cuts, the statuses 408, 425, 429, 500,
// 502, 503, 504, 522 and 524, and a 403 that says that the quota of requests is
// used up. A host name that does not exist, a certificate that is not trusted, and
// all else is permanent.
func IsTemporary(err error) bool {
	if all, ok := errors.AsType[*SourcesError](err); ok {
		return slices.ContainsFunc(all.Errs, IsTemporary)
	}
	if status, ok := errors.AsType[*StatusError](err); ok {
		return temporaryStatus[status.Code] || status.Code == http.StatusForbidden && status.isLimited()
	}
	if _, ok := errors.AsType[*TransferError](err); !ok {
		return errors.Is(err, context.DeadlineExceeded)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return !dns.IsNotFound
	}
	if isCertificateError(err) || isRefusal(err) {
		return false
	}
	if errors.Is(err, ErrStalled) || errors.Is(err, transfer.ErrCut) {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	_, isErrno := errors.AsType[syscall.Errno](err)
	return isErrno
}

// isRefusal reports whether it was us who would not go on.
func isRefusal(err error) bool {
	for _, refusal := range []error{
		ErrTooLarge, ErrTooSmall, transfer.ErrEncoded,
		transfer.ErrInsecureRedirect, transfer.ErrTooManyRedirects,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

func isCertificateError(err error) bool {
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return unknown || host || invalid
}
