package testorigin

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The options here are about requests for one range, "bytes=FIRST-LAST" or
// "bytes=FIRST-". Other requests are answered as without them.

// ShiftRange answers with the bytes that begin so many later (negative: earlier)
// than was asked, within the body, and says so in Content-Range.
func ShiftRange(by int64) Option {
	return func(p *plan) {
		p.reask = func(first, last int64) string {
			first = max(0, min(first+by, p.size-1))
			return fmt.Sprintf("bytes=%d-%d", first, max(first, last))
		}
	}
}

// ShortenRange answers with the first n bytes of what was asked, at most, and
// says so in Content-Range.
func ShortenRange(n int64) Option {
	return func(p *plan) {
		p.reask = func(first, last int64) string {
			return fmt.Sprintf("bytes=%d-%d", first, min(last, first+n-1))
		}
	}
}

// Multipart answers with what was asked in two parts of one multipart/byteranges
// body. A range of a single byte stays as it is.
func Multipart() Option {
	return func(p *plan) {
		p.reask = func(first, last int64) string {
			if first == last {
				return fmt.Sprintf("bytes=%d-%d", first, last)
			}
			middle := first + (last-first)/2
			return fmt.Sprintf("bytes=%d-%d,%d-%d", first, middle, middle+1, last)
		}
	}
}

// ContentRange sends this Content-Range with every 206, as it is; "" sends none.
func ContentRange(value string) Option {
	return func(p *plan) { p.span = &value }
}

// IgnoreIfRange sends ranges of the body whatever version was asked for.
func IgnoreIfRange() Option {
	return func(p *plan) { p.noIfRange = true }
}

// adjust returns the request that the plan has instead of r.
func (p *plan) adjust(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	if p.noRanges {
		r.Header.Del("Range")
	}
	if p.noIfRange {
		r.Header.Del("If-Range")
	}
	if first, last, ok := p.asked(r.Header.Get("Range")); ok && p.reask != nil {
		r.Header.Set("Range", p.reask(first, last))
	}
	return r
}

// asked reads a request for one range that the body has.
func (p *plan) asked(field string) (first, last int64, ok bool) {
	span, ok := strings.CutPrefix(field, "bytes=")
	from, to, dash := strings.Cut(span, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if !ok || !dash || err != nil || first >= p.size {
		return 0, 0, false
	}
	if last, err = strconv.ParseInt(to, 10, 64); to == "" {
		return first, p.size - 1, true
	}
	return first, min(last, p.size-1), err == nil && first <= last
}

// adjustSpan makes the Content-Range of a response that of the plan.
func (p *plan) adjustSpan(status int, header http.Header) {
	switch {
	case p.span == nil || status != http.StatusPartialContent:
	case *p.span == "":
		header.Del("Content-Range")
	default:
		header.Set("Content-Range", *p.span)
	}
}
