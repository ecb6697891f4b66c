package transfer

import (
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

// accept checks the response and returns what its headers say.
func (f *fetch) accept(resp *http.Response) (Head, error) {
	if resp.StatusCode != http.StatusOK {
		return Head{}, f.statusError(resp)
	}
	head := readHead(resp)
	if err := f.judge(resp.Header, head); err != nil {
		return Head{}, &Error{Op: "check", URL: head.FinalURL, Err: err}
	}
	return head, nil
}

// judge refuses by the headers what need not be read.
func (f *fetch) judge(h http.Header, head Head) error {
	for _, coding := range h.Values("Content-Encoding") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return ErrEncoded
		}
	}
	if !head.Exact {
		return nil
	}
	switch {
	case f.req.MaxSize > 0 && head.Total > f.req.MaxSize:
		return ErrTooLarge
	case head.Total < f.req.MinSize:
		return ErrTooSmall
	}
	return nil
}

// readHead reads the headers of a 200.
func readHead(resp *http.Response) Head {
	head := Head{
		Total:           resp.ContentLength,
		Exact:           resp.ContentLength >= 0,
		Proven:          resp.ContentLength >= 0 || resp.ProtoMajor >= 2 || isChunked(resp),
		FinalURL:        Redact(resp.Request.URL),
		ETag:            resp.Header.Get("ETag"),
		LastModified:    resp.Header.Get("Last-Modified"),
		ContentType:     resp.Header.Get("Content-Type"),
		DispositionName: dispositionName(resp.Header.Get("Content-Disposition")),
	}
	if !head.Exact {
		head.Total = storedLength(resp.Header.Get("X-Goog-Stored-Content-Length"))
	}
	return head
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
	_, params, err := mime.ParseMediaType(field)
	if err != nil {
		return ""
	}
	name := path.Base(strings.ReplaceAll(params["filename"], `\`, "/"))
	if name == "." || name == "/" || name == ".." {
		return ""
	}
	return printable(name, messageRunes)
}

// statusError reads what an answer that is no file says of itself. Its body is
// not downloaded.
func (f *fetch) statusError(resp *http.Response) error {
	e := &StatusError{
		Code:       resp.StatusCode,
		Status:     printable(resp.Status, messageRunes),
		URL:        Redact(resp.Request.URL),
		RetryAfter: resp.Header.Get("Retry-After"),
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.Header.Get("Content-Encoding") == "" && (kind == "" || strings.HasPrefix(kind, "text/plain") || strings.HasSuffix(kind, "json")) {
		f.watch.arm()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, messageRead)) // what comes is enough
		f.watch.disarm()
		e.Message = printable(string(text), messageRunes)
	}
	_ = resp.Body.Close()
	if ended, _ := f.watch.ended(); ended != nil && e.Message == "" {
		return ended
	}
	return e
}

// printable returns at most limit runes of text as one line, without what could
// move a terminal's cursor or make it look like something else.
func printable(text string, limit int) string {
	var b strings.Builder
	count, space := 0, false
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
			continue
		case r == utf8.RuneError || !unicode.IsPrint(r):
			continue
		}
		if count == limit {
			b.WriteString("…")
			break
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
		count++
	}
	return b.String()
}
