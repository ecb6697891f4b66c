package transfer

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// ErrUnmodified is the outcome when what the caller holds is still the current
// version. Nothing was received.
var ErrUnmodified = errors.New("not modified")

// Held is what the caller has of the resource: the whole of one version, with the
// validators that came with it (RFC 9111, section 4.3.1).
type Held struct {
	ETag         string   // as sent; "": none
	LastModified string   // as sent; "": none
	From         [16]byte // Result.Sender of what brought it
}

// Sender identifies the URL that sent the validators of what arrived. Only that URL
// can say whether they are still current: a validator tells the versions of one
// resource apart, and not two resources (RFC 9110, section 8.8). The query may be
// another signature; beside a date it has to be the same.
func (r Result) Sender() [16]byte { return senderID(r.From, r.ETag) }

func senderID(s Source, tag string) [16]byte {
	text := s.URL
	if tag == "" {
		text += "\x00" + s.Query
	}
	sum := sha256.Sum256([]byte(text))
	return [16]byte(sum[:])
}

// condition makes a request conditional, if what is held came from its URL and
// has a validator. A server that knows tags ignores the date (RFC 9110, section
// 13.1.3); it is there for the others.
func (f *fetch) condition(req *http.Request, at *url.URL) {
	h := f.req.Held
	f.conditional = false
	if h == nil || f.wantsBody || h.From != senderID(sourceOf(at), h.ETag) {
		return
	}
	if isTag(h.ETag) {
		req.Header.Set("If-None-Match", h.ETag)
		f.conditional = true
	}
	if _, err := http.ParseTime(h.LastModified); err == nil && (h.ETag == "" || f.conditional) {
		req.Header.Set("If-Modified-Since", h.LastModified)
		f.conditional = true
	}
}

// isTag reports whether the field is an entity tag, strong or weak.
func isTag(field string) bool { return isStrongTag(strings.TrimPrefix(field, "W/")) }

// unmodified reports whether the answer says that what is held is still current.
// One that names another version cannot mean it (RFC 9111, section 4.3.4).
func (f *fetch) unmodified(resp *http.Response) bool {
	tag := resp.Header.Get("ETag")
	return tag == "" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(f.req.Held.ETag, "W/")
}
