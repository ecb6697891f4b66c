package transfer

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// messageRead is how much of an error's body is read; one packet has it.
	messageRead = 1 << 10
	// messageRunes is how much of it is kept: some two lines of a terminal.
	messageRunes = 200
)

// accept checks the response and takes in what its headers say. What was stored
// counts on if the response is the rest of it, and no more if it is not.
func (f *fetch) accept(resp *http.Response, v verdict, total int64) error {
	if resp.StatusCode != http.StatusOK && v != rest {
		return f.statusError(resp)
	}
	head := readHead(resp)
	if v == rest { // which need not repeat the other fields (RFC 9110, section 15.3.7)
		proven := head.Proven
		head = f.have.Head
		if !f.have.isFrom(f.at) || !f.have.isSame(resp.Header) {
			// A digest is going to tell whether the parts fit; no validator does any more.
			head.ETag, head.LastModified, head.Date = "", "", ""
		}
		head.Total, head.Exact, head.Proven = total, true, proven
	}
	head.FinalURL = Redact(f.at)
	if err := f.judge(resp, head); err != nil {
		return &Error{Op: "check", URL: head.FinalURL, Offset: f.have.N, Err: err}
	}
	if v != rest {
		f.have = Result{}
	}
	f.have.Head, f.have.From = head, sourceShown(f.at, head.FinalURL)
	return nil
}

// judge refuses by the headers what need not be read.
func (f *fetch) judge(resp *http.Response, head Head) error {
	if isEncoded(resp) {
		return ErrEncoded
	}
	if !head.Exact {
		return nil
	}
	switch {
	case f.req.MaxSize > 0 && head.Total > f.req.MaxSize:
		return fmt.Errorf("%w: %d bytes announced, %d allowed", ErrTooLarge, head.Total, f.req.MaxSize)
	case head.Total < f.req.MinSize:
		return fmt.Errorf("%w: %d bytes announced, %d required", ErrTooSmall, head.Total, f.req.MinSize)
	}
	return nil
}

// isEncoded reports whether the body is not, or was not on its way, the file
// itself. A transport of the caller's own may have decoded it.
func isEncoded(resp *http.Response) bool {
	for _, coding := range resp.Header["Content-Encoding"] {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return true
		}
	}
	return resp.Uncompressed
}

// readHead reads the headers of a response with a body to store.
func readHead(resp *http.Response) Head {
	head := Head{
		Total:           resp.ContentLength,
		Exact:           resp.ContentLength >= 0,
		Proven:          resp.ContentLength >= 0 || resp.ProtoMajor >= 2 || isChunked(resp),
		ETag:            first(resp.Header["Etag"]),
		LastModified:    first(resp.Header["Last-Modified"]),
		Date:            first(resp.Header["Date"]),
		ContentType:     first(resp.Header["Content-Type"]),
		DispositionName: dispositionName(first(resp.Header["Content-Disposition"])),
	}
	if !head.Exact {
		head.Total = storedLength(resp.Header.Get("X-Goog-Stored-Content-Length"))
	}
	return head
}

// first returns the first of a field's values. It is for names in their canonical form,
// which [http.Header.Get] makes anew each time.
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func isChunked(resp *http.Response) bool {
	n := len(resp.TransferEncoding)
	return n > 0 && resp.TransferEncoding[n-1] == "chunked"
}

// storedLength reads the length under which Google's store keeps an object that
// it sends without Content-Length; -1 if there is none that makes sense.
func storedLength(field string) int64 {
	n, err := strconv.ParseInt(field, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// dispositionName returns the last part of the proposed name (RFC 6266, section
// 4.3: nothing but that part may be used). It is for showing only.
func dispositionName(field string) string {
	if field == "" {
		return ""
	}
	_, params, err := mime.ParseMediaType(field)
	if err != nil {
		return ""
	}
	name := path.Base(strings.ReplaceAll(printable(params["filename"]), `\`, "/"))
	if name == "." || name == "/" || name == ".." {
		return ""
	}
	return shorten(name)
}

// statusError reads what an answer that is no file says of itself. Its body is
// not downloaded. The answer stands, whatever happens to its text.
func (f *fetch) statusError(resp *http.Response) error {
	e := &StatusError{
		Code:       resp.StatusCode,
		Status:     f.quote(resp.Status),
		URL:        Redact(f.at),
		RetryAfter: resp.Header.Get("Retry-After"),
		Limit:      readLimit(resp.Header),
	}
	if isText(resp) {
		f.watch.arm()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, messageRead)) // what comes is enough
		f.watch.disarm()
		e.Message = f.quote(string(text))
	}
	return e
}

// readLimit reads what services say of a quota that is used up: in one of the
// header families that are in use (GitHub, GitLab and others; the names of
// draft-ietf-httpapi-ratelimit-headers).
func readLimit(h http.Header) RateLimit {
	for _, family := range []string{"X-RateLimit-", "RateLimit-", "X-Rate-Limit-"} {
		if h.Get(family+"Remaining") == "0" {
			return RateLimit{Exhausted: true, Reset: h.Get(family + "Reset")}
		}
	}
	return RateLimit{}
}

// isText reports whether a person can read the body: plain text, and what
// services and object stores answer to programs. A web page says little.
func isText(resp *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return !isEncoded(resp) && (kind == "" || kind == "text/plain" ||
		strings.HasSuffix(kind, "json") || strings.HasSuffix(kind, "/xml"))
}

// quote returns what the server says in a form that may be shown. Servers like
// to repeat the request, with its secrets.
func (f *fetch) quote(text string) string {
	return shorten(f.secrets().hide(printable(text)))
}

// printable returns text as one line, without what could move a terminal's
// cursor or make it look like something else.
func printable(text string) string {
	var b strings.Builder
	space := false
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
		case r == utf8.RuneError || !unicode.IsPrint(r):
		default:
			if space {
				b.WriteByte(' ')
			}
			space = false
			b.WriteRune(r)
		}
	}
	return b.String()
}

// shorten cuts text after messageRunes.
func shorten(text string) string {
	count := 0
	for at := range text {
		if count == messageRunes {
			return text[:at] + "…"
		}
		count++
	}
	return text
}
