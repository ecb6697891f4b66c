package transfer

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// hidden stands where something was left out.
const hidden = "xxxxx"

// Redact returns the URL as it may be shown: without user, password and
// fragment, and with the names but not the values of the query.
func Redact(u *url.URL) string {
	if u == nil {
		return ""
	}
	if isBare(u) {
		return u.Scheme + "://" + u.Host + u.EscapedPath()
	}
	shown := url.URL{Scheme: u.Scheme, Opaque: u.Opaque, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.Opaque != "" {
		shown.Opaque = hidden // user@host may hide in it
	}
	if u.User != nil {
		shown.User = url.User(hidden)
	}
	if u.RawQuery != "" {
		shown.RawQuery = redactQuery(u.RawQuery)
	}
	return shown.String()
}

// isBare reports whether the URL has nothing to hide, and is written without anything
// to think about: most are.
func isBare(u *url.URL) bool {
	isRooted := strings.HasPrefix(u.Path, "/") && (u.RawPath == "" || u.RawPath[0] == '/')
	if u.User != nil || u.Opaque != "" || u.RawQuery != "" || u.Scheme == "" || u.Host == "" || !isRooted {
		return false
	}
	for _, c := range []byte(u.Host) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == ':':
		default:
			return false
		}
	}
	return true
}

// redactQuery keeps the names of parameters that have a value. A part without
// one may be a token by itself, also if it ends in "=", as base64 does.
func redactQuery(query string) string {
	parts := strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' })
	for i, part := range parts {
		name, value, _ := strings.Cut(part, "=")
		if strings.Trim(value, "=") == "" {
			parts[i] = hidden
			continue
		}
		parts[i] = graphic(name) + "=" + hidden
	}
	return strings.Join(parts, "&")
}

// graphic escapes what a query may hold as it is, and what neither a terminal nor
// the first line of a request should get.
func graphic(name string) string {
	if !strings.ContainsFunc(name, isNotGraphic) {
		return name
	}
	var b strings.Builder
	for _, c := range []byte(name) {
		if isNotGraphic(rune(c)) {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

func isNotGraphic(c rune) bool { return c <= ' ' || c >= 0x7f }

// RedactString is Redact for text that may not be a URL. Of text that cannot be
// parsed, or in which a user may hide where none belongs, it shows what stands
// before anything that could be secret: the scheme, if it is one that we know.
func RedactString(raw string) string {
	u, err := url.Parse(raw)
	if err == nil && (u.Host != "" || (u.User == nil && u.Opaque == "" && !strings.Contains(u.Path, "@"))) {
		return Redact(u)
	}
	scheme, _, _ := strings.Cut(raw, ":")
	for _, known := range []string{"http", "https", "ftp", "file"} {
		if strings.EqualFold(scheme, known) {
			return known + ":" + hidden
		}
	}
	return hidden
}

// secrets are words that must not be shown, longest first.
type secrets []string

// minSecret is the length from which on a word is looked for. Shorter ones are
// in every other sentence by chance, and protect nothing.
const minSecret = 6

// secrets returns what the requests so far have sent that nobody else should
// see. It costs too much to be done before something has failed.
func (f *fetch) secrets() secrets {
	var s secrets
	s.addURL(f.req.URL)
	for _, req := range append(slices.Clip(f.past), f.via...) {
		s.addURL(req.URL)
	}
	for _, values := range f.req.Header {
		for _, v := range values {
			s.add(strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(" ,;=\"", r) })...)
		}
	}
	slices.SortFunc(s, func(a, b string) int { return len(b) - len(a) })
	return s
}

func (s *secrets) addURL(u *url.URL) {
	if user := u.User; user != nil {
		password, _ := user.Password()
		req := http.Request{Header: http.Header{}}
		req.SetBasicAuth(user.Username(), password)
		s.add(user.Username(), password, user.String(), strings.TrimPrefix(req.Header.Get("Authorization"), "Basic "))
	}
	s.add(u.Fragment, u.RawFragment)
	for part := range strings.FieldsFuncSeq(u.RawQuery, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(part, "=")
		if strings.Trim(value, "=") == "" {
			value = name
		}
		plain, _ := url.QueryUnescape(value)
		s.add(value, plain)
	}
}

func (s *secrets) add(words ...string) {
	for _, word := range words {
		if len(word) >= minSecret {
			*s = append(*s, word)
		}
	}
}

// hide returns the text without the secrets.
func (s secrets) hide(text string) string {
	for _, word := range s {
		text = strings.ReplaceAll(text, word, hidden)
	}
	return text
}
