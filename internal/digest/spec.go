package digest

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Spec is what a file is to be checked against: digests, any of which satisfies,
// or the path of a checksum file, or the URL of one. The zero value asks for no
// check.
type Spec struct {
	digests []Digest
	path    string
	url     *url.URL
}

// ParseSpec reads one of
//
//	sha256:HEX                  also sha384, sha512, md5, sha1
//	sha256-BASE64 …             integrity metadata, as web pages and package locks have it
//	https://host/SHA256SUMS     also http
//	dir/SHA256SUMS              everything else is a path
//
// What can only be a mistake in one of the first three is an error that says what
// to write. "./" before a path makes it a path whatever it looks like. No error
// repeats any part of a URL but its scheme.
func ParseSpec(s string) (Spec, error) {
	text := strings.TrimSpace(s)
	if text == "" {
		return Spec{}, errors.New("no checksum given: write sha256:…, or the path or URL of a checksum file")
	}
	if strings.ContainsRune(text, 0) {
		return Spec{}, errors.New("a checksum cannot contain a zero byte")
	}
	if scheme, ok := cutScheme(text); ok {
		return parseURL(text, scheme)
	}
	if fields := strings.Fields(text); slices.ContainsFunc(fields, isMeantAsIntegrity) {
		digests, err := parseIntegrity(fields)
		return Spec{digests: digests}, err
	}
	if name, rest, ok := strings.Cut(text, ":"); ok && isMeantAsAlgorithm(name, rest) {
		d, err := Parse(text)
		if err != nil {
			return Spec{}, err
		}
		return Spec{digests: []Digest{d}}, nil
	}
	if err := nameless(text); err != nil {
		return Spec{}, err
	}
	return Spec{path: s}, nil
}

// Digests returns the digests asked for, of one algorithm, in ascending order;
// nil if a file or nobody gives them.
func (s Spec) Digests() []Digest { return slices.Clone(s.digests) }

// Path returns the path of the checksum file as it was given, or "".
func (s Spec) Path() string { return s.path }

// URL returns a copy of the checksum file's URL, or nil.
func (s Spec) URL() *url.URL {
	if s.url == nil {
		return nil
	}
	u := *s.url
	return &u
}

// String returns what ParseSpec reads as the same Spec. Equal strings mean the
// same check, if relative paths start from the same directory. A URL still has
// its secrets in it: the string is for comparing, not for showing. The zero value
// gives "".
func (s Spec) String() string {
	switch {
	case s.url != nil:
		return s.url.String()
	case len(s.digests) == 1:
		return s.digests[0].String()
	case len(s.digests) > 1:
		return integrity(s.digests)
	}
	return s.path
}

// cutScheme returns the scheme of what is meant as a URL. One letter is a drive.
func cutScheme(text string) (scheme string, ok bool) {
	scheme, rest, ok := strings.Cut(text, ":")
	scheme = strings.ToLower(scheme)
	if scheme == "http" || scheme == "https" {
		return scheme, ok
	}
	for i, c := range []byte(scheme) {
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(c))) {
			return "", false
		}
	}
	return scheme, len(scheme) > 1 && strings.HasPrefix(rest, "//")
}

// parseURL reads the URL of a checksum file. The parser's errors would quote it.
func parseURL(text, scheme string) (Spec, error) {
	switch scheme {
	case "http", "https":
	case "file":
		return Spec{}, errors.New("not an http or https URL: for a checksum file on this machine, write its path without file://")
	default:
		return Spec{}, fmt.Errorf("a checksum file cannot be fetched by %.*q: use an http or https URL", longestName, scheme)
	}
	u, err := url.Parse(text)
	if err == nil {
		_, err = url.Parse(u.String()) // a zone of an address may have what cannot be written
	}
	if err != nil || u.Hostname() == "" {
		return Spec{}, fmt.Errorf("not a URL of a checksum file: write %s://host/path, and what is special in it as %%XX", scheme)
	}
	return Spec{url: u}, nil
}

// families are what names of hash functions begin with, before digits.
var families = []string{"sha", "md", "crc", "blake", "blake2b", "blake2s", "xxh", "xxhash", "ripemd", "sm", "keccak", "shake", "adler"}

// isMeantAsAlgorithm reports whether a colon parts the name of an algorithm from
// a digest: one that is known, one that looks like it, or any word before what
// looks like a digest. A drive's letter is no word.
func isMeantAsAlgorithm(name, rest string) bool {
	name = strings.ToLower(name)
	if Algorithm(name).size() > 0 {
		return true
	}
	for _, family := range families {
		number, ok := strings.CutPrefix(name, family)
		if ok && number != "" && strings.Trim(number, "0123456789-_/") == "" {
			return true
		}
	}
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_"
	const shortest = 8 // digits: those of a CRC-32
	return len(name) > 1 && strings.Trim(name, letters) == "" && len(rest) >= shortest && isHex(rest)
}

// nameless returns the error for a digest that does not say its algorithm, or
// says it with another sign than a colon.
func nameless(text string) error {
	first := strings.Fields(text)[0] // a line of a checksum file has a name behind it
	if a := ofLength(len(first)); a != "" && isHex(first) {
		return fmt.Errorf("a digest alone does not say its algorithm: write %s:%s, or ./%.4s… if it is a file's name", a, first, first)
	}
	name, digits, _ := strings.Cut(first, "=")
	if a := named(name); a != "" && len(digits) == 2*a.size() && isHex(digits) {
		return fmt.Errorf("a digest has a colon after its algorithm: write %s:%s", a, digits)
	}
	return nil
}
