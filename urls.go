package dlmanager

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/transfer"
)

// parseURL reads a URL that can be fetched. Its errors do not repeat the text,
// which may hold secrets.
func parseURL(raw string) (*url.URL, error) {
	if scheme, host, path, ok := plainURL(raw); ok {
		return &url.URL{Scheme: scheme, Host: host, Path: path}, nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		if parse, ok := errors.AsType[*url.Error](err); ok {
			err = parse.Err
		}
		return nil, &URLError{URL: transfer.RedactString(raw), Reason: reason(err)}
	}
	switch {
	case u.Scheme == "" && u.Host == "":
		return nil, &URLError{URL: transfer.RedactString(raw), Reason: "it has no scheme: write https://…"}
	case !strings.EqualFold(u.Scheme, "http") && !strings.EqualFold(u.Scheme, "https"):
		return nil, &URLError{URL: transfer.RedactString(raw), Reason: "only http and https can be fetched"}
	case u.Hostname() == "":
		return nil, &URLError{URL: transfer.RedactString(raw), Reason: "it names no host"}
	}
	return u, nil
}

// CheckURL returns why a URL cannot be fetched, as a *URLError; nil if it can be
// tried.
func CheckURL(rawURL string) error {
	if _, _, _, ok := plainURL(rawURL); ok {
		return nil
	}
	_, err := parseURL(rawURL)
	return err
}

// plainURL takes apart a URL of which all can see that it can be fetched: nothing in
// it is escaped, a user, an address with colons or a fragment. Most are.
func plainURL(raw string) (scheme, host, path string, ok bool) {
	scheme, host, _ = strings.Cut(raw, "://")
	if scheme != "https" && scheme != "http" {
		return "", "", "", false
	}
	if slash := strings.IndexByte(host, '/'); slash >= 0 {
		host, path = host[:slash], host[slash:]
	}
	name, port, _ := strings.Cut(host, ":")
	return scheme, host, path, name != "" && isAll(name, plainHost) && isAll(port, digits) && isAll(path, plainPath)
}

// What a plain URL is made of.
const (
	digits = 1 << iota
	plainHost
	plainPath
)

// urlChars says of which of these a character may be part.
var urlChars = func() (table [1 << 8]byte) {
	for c := range table {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		switch {
		case digit:
			table[c] = digits | plainHost | plainPath
		case letter, c == '.', c == '-':
			table[c] = plainHost | plainPath
		case strings.IndexByte("_~/+=,:@", byte(c)) >= 0:
			table[c] = plainPath
		}
	}
	return table
}()

func isAll(s string, of byte) bool {
	for i := range len(s) {
		if urlChars[s[i]]&of == 0 {
			return false
		}
	}
	return true
}

// reason is what the parser says up to where it quotes the URL, which may be a
// secret.
func reason(err error) string {
	before, _, _ := strings.Cut(err.Error(), "\"")
	return strings.TrimSpace(before)
}

// URLError is the refusal of a URL that cannot be fetched.
type URLError struct {
	URL    string // without secrets
	Reason string
}

func (e *URLError) Error() string { return fmt.Sprintf("bad URL %s: %s", e.URL, e.Reason) }

// identity is the hash of what makes two URLs the same resource here: scheme,
// host, path and query. Who asks, and for which fragment, does not count.
func identity(u *url.URL) [16]byte {
	sum := sha256.Sum256([]byte(fs.Canonical(u)))
	return [16]byte(sum[:])
}

// FlatName returns the name that Download derives from a URL when none is
// given: the last segment of its path, decoded and made portable. Different
// URLs may have the same.
func FlatName(rawURL string) (string, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return "", err
	}
	return fs.FlatName(u)
}

// TreeName returns host/path of a URL as a portable name, with a short hash
// where something could not be kept to the letter, such as a query. It depends
// on the URL alone, and different URLs have different ones.
func TreeName(rawURL string) (string, error) {
	if scheme, host, path, ok := plainURL(rawURL); ok { // this takes no memory
		return fs.TreeName(&url.URL{Scheme: scheme, Host: host, Path: path})
	}
	u, err := parseURL(rawURL)
	if err != nil {
		return "", err
	}
	return fs.TreeName(u)
}

// HashedName returns the last segment of a URL's path as a portable name without
// folders, with a short hash of the URL before its extension. It depends on the
// URL alone, and different URLs have different ones.
func HashedName(rawURL string) (string, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return "", err
	}
	return fs.HashedName(u)
}

// RedactURL returns the URL as it may be shown: without user, password,
// fragment, and the values of the query.
func RedactURL(rawURL string) string { return transfer.RedactString(rawURL) }
