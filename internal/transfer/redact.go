package transfer

import (
	"net/url"
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

// redactQuery keeps the names of parameters that have a value; a part without
// "=" may be a token by itself.
func redactQuery(query string) string {
	parts := strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' })
	for i, part := range parts {
		name, _, hasValue := strings.Cut(part, "=")
		if !hasValue {
			parts[i] = hidden
			continue
		}
		parts[i] = name + "=" + hidden
	}
	return strings.Join(parts, "&")
}

// RedactString is Redact for text that may not be a URL. Of text that cannot be
// parsed it shows what stands before anything that could be secret: the scheme.
func RedactString(raw string) string {
	u, err := url.Parse(raw)
	if err == nil && (u.Host != "" || (u.User == nil && u.Opaque == "" && !strings.Contains(u.Path, "@"))) {
		return Redact(u)
	}
	scheme, _, ok := strings.Cut(raw, ":")
	if ok && isScheme(scheme) {
		return scheme + ":" + hidden
	}
	return hidden
}

func isScheme(s string) bool {
	if s == "" || len(s) > 10 {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return true
}
