package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The rules by which a transfer goes on where an earlier one ended: what is
// asked, and what an answer means. Two versions of a file must never become one,
// so whatever is not proven to be the rest of the same content starts over.

// dateSlack is how much older than the answer a date must be to be a strong
// validator (RFC 9110, section 8.8.2.2, asks for a second and enough more to
// make the clocks' differences unlikely to matter; RFC 7232 said a minute).
const dateSlack = time.Minute

// validator returns what proves, in If-Range, that the content is still the
// same: a strong entity tag, or where there is no tag at all a date that is
// strong (RFC 9110, section 13.1.5). "" if there is neither.
func (h Head) validator() string {
	switch {
	case h.ETag != "":
		if isStrongTag(h.ETag) {
			return h.ETag
		}
		return ""
	case isStrongDate(h.LastModified, h.Date):
		return h.LastModified
	}
	return ""
}

// isStrongTag reports whether the field is one strong entity tag (RFC 9110,
// section 8.8.3): quoted, without W/, of the characters that are allowed.
func isStrongTag(field string) bool {
	if len(field) < 2 || field[0] != '"' || field[len(field)-1] != '"' {
		return false
	}
	for _, c := range []byte(field[1 : len(field)-1]) {
		if c < 0x21 || c == '"' || c == 0x7f {
			return false
		}
	}
	return true
}

func isStrongDate(lastModified, date string) bool {
	modified, err := http.ParseTime(lastModified)
	if err != nil {
		return false
	}
	sent, err := http.ParseTime(date)
	return err == nil && sent.Sub(modified) >= dateSlack
}

// verdict says what an answer to a request for the rest means.
type verdict int

const (
	refused    verdict = iota // it is no file
	whole                     // the body is the file from its beginning
	rest                      // the body goes on where we are
	complete                  // we have it all
	askPlain                  // ask again with Range alone
	startOver                 // ask again for the whole file
	unmodified                // what is held is the current version
)

// reply is what the rules look at.
type reply struct {
	status    int
	header    http.Header
	length    int64 // of the body; -1: unknown
	plain     bool  // it was asked with Range alone, though there is a validator
	elsewhere bool  // another resource answers than the one we have a part of
	digested  bool  // a digest is going to tell whether the parts belong together
}

// judge returns what the answer to a request for the rest of have means, and for
// rest the total size in bytes, -1 if unknown.
func (have Result) judge(a reply) (verdict, int64) {
	if a.elsewhere && !a.digested {
		switch a.status {
		case http.StatusOK:
			return whole, -1
		case http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
			return startOver, -1
		}
		return refused, -1
	}
	switch a.status {
	case http.StatusOK:
		if !a.plain && have.isSameTag(a.header) && !strings.EqualFold(a.header.Get("Accept-Ranges"), "none") {
			// The content is the same, but the server (or a cache before it)
			// knows no If-Range with a tag. The tag of a 206 proves as much.
			return askPlain, -1
		}
		return whole, -1
	case http.StatusPartialContent:
		return have.judgePart(a)
	case http.StatusRequestedRangeNotSatisfiable:
		total, ok := parseUnsatisfied(a.header.Get("Content-Range"))
		if ok && total == have.N && have.Ranges == nil && have.sameTotal(total) && have.agrees(a) {
			return complete, total
		}
		return startOver, -1
	}
	return refused, -1
}

// judgePart judges a 206 (RFC 9110, section 15.3.7).
func (have Result) judgePart(a reply) (verdict, int64) {
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	r, ok := parseContentRange(a.header.Get("Content-Range"))
	switch {
	case strings.EqualFold(kind, "multipart/byteranges"), !ok, r.first != have.ask(), !have.sameTotal(r.total),
		r.total < 0, a.length != r.last-r.first+1, !have.agrees(a):
		// Without a total nobody can tell the end of the file, and without a
		// length the end of the part.
		return startOver, -1
	}
	return rest, r.total
}

// agrees reports whether the answer goes together with what we have: it proves
// to be of the same content, or a digest is going to tell.
func (have Result) agrees(a reply) bool {
	if !a.digested {
		return have.isSame(a.header)
	}
	tag := a.header.Get("ETag")
	contradicts := !a.elsewhere && isStrongTag(have.ETag) && isStrongTag(tag) && tag != have.ETag
	return !contradicts
}

// isFrom reports whether the URL that answers is the one that what we have came
// from. A validator tells the versions of one resource apart, and not two
// resources (RFC 9110, section 8.8): a redirect may lead elsewhere by now. The
// query may be another signature; beside a date it has to be the same.
func (have Result) isFrom(u *url.URL) bool {
	is := sourceOf(u)
	return have.From.URL == is.URL && (have.ETag != "" || have.From.Query == is.Query)
}

// sourceOf returns what is kept of a URL to know it again.
func sourceOf(u *url.URL) Source {
	s := Source{URL: strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Host) + u.EscapedPath()}
	if u.RawQuery != "" {
		sum := sha256.Sum256([]byte(u.RawQuery))
		s.Query = hex.EncodeToString(sum[:])
	}
	return s
}

// sourceShown is sourceOf for a URL of which shown is what [Redact] returns: mostly that
// is the source's URL as well.
func sourceShown(u *url.URL, shown string) Source {
	if isBare(u) && strings.ToLower(u.Scheme) == u.Scheme && strings.ToLower(u.Host) == u.Host {
		return Source{URL: shown}
	}
	return sourceOf(u)
}

// sameTotal reports whether a total, -1 if unknown, can be that of the content.
func (have Result) sameTotal(total int64) bool {
	return !have.Exact || total == have.Total
}

// isSame reports whether the answer is of the content we have a part of.
func (have Result) isSame(h http.Header) bool {
	if have.ETag != "" {
		return have.isSameTag(h)
	}
	return h.Get("ETag") == "" && h.Get("Last-Modified") == have.LastModified
}

// isSameTag compares the entity tags by the strong comparison (RFC 9110, section
// 8.8.3.2).
func (have Result) isSameTag(h http.Header) bool {
	return isStrongTag(have.ETag) && h.Get("ETag") == have.ETag
}

// contentRange is a Content-Range in bytes, both ends included.
type contentRange struct {
	first, last int64
	total       int64 // -1: "*"
}

// parseContentRange reads "bytes FIRST-LAST/TOTAL" (RFC 9110, section 14.4).
func parseContentRange(field string) (contentRange, bool) {
	span, size, ok := cutRange(field)
	if !ok {
		return contentRange{}, false
	}
	first, last, ok := strings.Cut(span, "-")
	r := contentRange{total: -1}
	var ok1, ok2 bool
	r.first, ok1 = parseSize(first)
	r.last, ok2 = parseSize(last)
	if !ok || !ok1 || !ok2 || r.last < r.first {
		return contentRange{}, false
	}
	if size == "*" {
		return r, true
	}
	r.total, ok = parseSize(size)
	if !ok || r.last >= r.total {
		return contentRange{}, false
	}
	return r, true
}

// parseUnsatisfied reads "bytes */TOTAL".
func parseUnsatisfied(field string) (total int64, ok bool) {
	span, size, ok := cutRange(field)
	if !ok || span != "*" {
		return 0, false
	}
	return parseSize(size)
}

func cutRange(field string) (span, size string, ok bool) {
	unit, rest, ok := strings.Cut(strings.TrimSpace(field), " ")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return "", "", false
	}
	return strings.Cut(strings.TrimSpace(rest), "/")
}

// parseSize reads a number without a sign.
func parseSize(s string) (int64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
