package dlmanager

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/dlmanager/dlmanager/internal/transfer"
)

// WithRewrite asks for URLs that begin with from at to first, a mirror that has the
// same below it: with https://github.com/ and https://mirror.corp/gh/, what is at
// https://github.com/a/b?c comes from https://mirror.corp/gh/a/b?c. The URL that was
// given stays what the file is known by, also in a lock file, and is asked when the
// mirror fails, whatever the reason, unless WithRewriteOnly is given. It may be given
// several times; of those that fit, the one with the longest path counts, and of equal
// ones the last. One that leads to where it comes from makes an exception of others.
//
// Both are http or https URLs without query and fragment. from fits URLs of its
// scheme, host and port whose path begins with its segments, whole ones. The query
// goes along; header fields and credentials that were given for the URL's host do not,
// and to may have a user and password of its own. Mirrors of WithMirrors and the URL of
// a checksum file are rewritten as well; where a redirect leads is not.
func WithRewrite(from, to string) DownloadOption {
	r := newRewrite(from, to)
	return downloadOption(func(c *downloadConfig) {
		c.rewrites = append(c.rewrites[:len(c.rewrites):len(c.rewrites)], r) // the manager's defaults share it
	})
}

// WithRewriteOnly never asks for a URL itself where a WithRewrite applies to it, as
// behind a firewall that lets nothing out. URLs to which none applies are asked.
func WithRewriteOnly() DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.rewriteOnly = true })
}

// CheckRewrite returns why WithRewrite cannot use the two, as a *URLError; nil if it
// can.
func CheckRewrite(from, to string) error { return newRewrite(from, to).err }

// rewrite is one prefix and what stands in for it.
type rewrite struct {
	from, to *url.URL
	path     []string // the decoded segments of from's
	err      error    // why it is none
}

func newRewrite(from, to string) rewrite {
	var r rewrite
	if r.from, r.err = parsePrefix(from); r.err != nil {
		return r
	}
	if r.from.User != nil {
		r.err = &URLError{URL: transfer.Redact(r.from), Reason: "user and password do not belong into what is rewritten"}
		return r
	}
	if r.to, r.err = parsePrefix(to); r.err != nil {
		return r
	}
	r.path, _ = splitPath(r.from)
	return r
}

// parsePrefix reads a URL to which a path can be added.
func parsePrefix(raw string) (*url.URL, error) {
	u, err := parseURL(raw)
	switch {
	case err != nil:
		return nil, err
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, &URLError{URL: transfer.Redact(u), Reason: "query and fragment do not belong into a rewrite"}
	}
	return u, nil
}

// splitPath returns the segments of a path without dot segments (RFC 3986, section
// 5.2.4), which a server would take for a way out of a prefix: decoded, to be
// compared, and as they are. An empty last one stands for a slash at the end.
func splitPath(u *url.URL) (decoded, raw []string) {
	segments := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	for i, segment := range segments {
		plain, err := url.PathUnescape(segment)
		if err != nil { // not in what EscapedPath returns
			plain = segment
		}
		switch plain {
		case ".", "..":
			if plain == ".." && len(raw) > 0 {
				decoded, raw = decoded[:len(decoded)-1], raw[:len(raw)-1]
			}
			if i == len(segments)-1 {
				decoded, raw = append(decoded, ""), append(raw, "")
			}
		default:
			decoded, raw = append(decoded, plain), append(raw, segment)
		}
	}
	return decoded, raw
}

// apply returns where a URL is asked for instead, and how many segments of its path
// say so; false if the prefix is not the URL's.
func (r rewrite) apply(u *url.URL) (to *url.URL, segments int, ok bool) {
	if !strings.EqualFold(r.from.Scheme, u.Scheme) || !transfer.SameOrigin(r.from, u) {
		return nil, 0, false
	}
	prefix := r.path
	if n := len(prefix); prefix[n-1] == "" {
		prefix = prefix[:n-1] // a slash at its end
	}
	decoded, raw := splitPath(u)
	if len(decoded) < len(prefix) {
		return nil, 0, false
	}
	for i, segment := range prefix {
		if segment != decoded[i] {
			return nil, 0, false
		}
	}
	if slices.ContainsFunc(decoded[len(prefix):], climbs) {
		return nil, 0, false
	}
	return r.below(raw[len(prefix):], u), len(prefix), true
}

// climbs reports whether a server that takes a segment apart once more, at an encoded
// slash, a backslash or a path parameter, may find a dot segment in it. Where that
// leads nobody can say, so that the segment is below no prefix.
func climbs(decoded string) bool {
	parts := strings.FieldsFunc(decoded, func(r rune) bool { return strings.ContainsRune("/\\;", r) })
	return slices.Contains(parts, "..")
}

// below returns the URL with the rest of a path, and u's query, at the place that
// stands in.
func (r rewrite) below(rest []string, u *url.URL) *url.URL {
	escaped := strings.TrimSuffix(r.to.EscapedPath(), "/")
	if len(rest) > 0 {
		escaped += "/" + strings.Join(rest, "/")
	}
	if escaped == "" {
		escaped = "/"
	}
	to := &url.URL{Scheme: r.to.Scheme, User: r.to.User, Host: r.to.Host, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}
	to.Path, _ = url.PathUnescape(escaped) // both parts come from EscapedPath
	to.RawPath = escaped
	return to
}

// source is a place to ask.
type source struct {
	url     *url.URL
	standIn bool // the next source is the one that it stands in for
}

// sourcesOf returns where to ask for a URL, in this order.
func (c *downloadConfig) sourcesOf(u *url.URL) []source {
	var best *url.URL
	most := -1
	for _, r := range c.rewrites {
		if to, n, ok := r.apply(u); ok && n >= most {
			best, most = to, n
		}
	}
	switch {
	case best == nil || identity(best) == identity(u):
		return []source{{url: u}}
	case c.rewriteOnly:
		return []source{{url: best}}
	}
	return []source{{best, true}, {url: u}}
}

// checkRewrites returns what is wrong with the rewrites.
func (c *downloadConfig) checkRewrites() error {
	var errs []error
	for _, r := range c.rewrites {
		if r.err != nil {
			errs = append(errs, fmt.Errorf("rewrite: %w", r.err))
		}
	}
	return errors.Join(errs...)
}
