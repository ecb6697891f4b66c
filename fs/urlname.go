package fs

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// FlatName returns the last segment of the URL's path, decoded and made
// portable: a name without folders that [CleanName] accepts. Characters that it
// refuses become "_", dots and spaces at the end go, the name of a device gets a
// "_" before it, and a long one is shortened, with a hash of what it was before
// its extension. Different URLs may have the same FlatName.
//
// A URL whose path does not end in the name of a file, or in one that belongs to
// the cache itself, is a [*NameError] that asks for a name.
func FlatName(u *url.URL) (string, error) {
	escaped := u.EscapedPath()
	segment := unescaped(escaped[strings.LastIndexByte(escaped, '/')+1:])
	name := portable(segment)
	switch {
	case name == "" || segment == "." || segment == "..":
		return "", &NameError{Name: segment, Reason: "the URL's path does not end in the name of a file; give a name"}
	case isOwn(name):
		return "", &NameError{Name: segment, Reason: "the cache keeps " + ownDir + " and " + tagFile + " for itself; give another name"}
	case len(name) > maxPart:
		name = marked(name, hashMark(segment))
	}
	return CleanName(name)
}

// HashedName returns the last segment of the URL's path, made portable, with a
// hash of the URL before its extension: a name without folders that depends on the
// URL alone, and that no other URL has, but for user, password and fragment, which
// do not count. A path that does not end in the name of a file gives index-HASH.
func HashedName(u *url.URL) (string, error) {
	if u.Hostname() == "" {
		return "", &NameError{Name: u.EscapedPath(), Reason: "the URL has no host; give a name"}
	}
	escaped := u.EscapedPath()
	leaf := portable(unescaped(escaped[strings.LastIndexByte(escaped, '/')+1:]))
	return CleanName(marked(cmp.Or(leaf, indexLeaf), hashMark(Canonical(u))))
}

// unescaped decodes percent-encoding (RFC 3986, 2.1). What is no encoding stays.
func unescaped(segment string) string {
	if strings.IndexByte(segment, '%') < 0 {
		return segment
	}
	if decoded, err := url.PathUnescape(segment); err == nil {
		return decoded
	}
	return segment
}

// portable returns what is nearest to s among the parts of a valid name, but for
// its length. It is "" if s has nothing but dots and spaces. NFC is how most
// names are written, and the one form in which all systems can find them.
func portable(s string) string {
	if !isStorableASCII(s) { // most are
		s = norm.NFC.String(strings.Map(storable, s))
		s = strings.Map(storable, s) // after 30 combining marks, norm puts one of its own (UAX 15, 13)
	}
	for s != "" && (s[len(s)-1] == '.' || s[len(s)-1] == ' ') {
		s = s[:len(s)-1]
	}
	if s != "" && isDevice(s) {
		return "_" + s
	}
	return s
}

// isStorableASCII reports whether s is of ASCII that storable leaves alone.
func isStorableASCII(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf || c == '/' || forbiddenASCII[c] {
			return false
		}
	}
	return true
}

// storable returns "_" for what no part of a name may have.
func storable(r rune) rune {
	if r == '/' || forbidden(r) {
		return '_'
	}
	return r
}

// markLength is the length of a mark: a dash and 16 characters of base32, which
// are 80 bits. A URL in a list may be made to meet the name of another one in it;
// that takes 2^80 tries, where the 40 bits of 8 characters would take minutes.
const markLength = 1 + 16

// hashMark returns the mark of a text: a dash and a short hash, lower case, so
// that the mark is the same on file systems that ignore case.
func hashMark(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// marked puts the mark before the extension of the name, and shortens what is
// before the mark until it fits.
func marked(name, mark string) string {
	stem, ext := splitExt(name)
	return cut(stem, maxPart-len(mark)-len(ext)) + mark + ext
}

// looksMarked reports whether the name could have come from marked.
func looksMarked(name string) bool {
	stem, _ := splitExt(name)
	if len(stem) < markLength || stem[len(stem)-markLength] != '-' {
		return false
	}
	for _, c := range []byte(stem[len(stem)-markLength+1:]) {
		if !isLetter(c) && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// maxExt is how long an extension may be, without its dot: mobileconfig and
// safetensors are among the long ones.
const maxExt = 12

// splitExt splits a name before its extension: the last dot, not the first
// character, and 1 to 12 ASCII letters and digits, which begin with a letter
// (.gz, .mp4, .sha256) or are a digit and letters (.7z, .3gp). So v1.2 and
// v1.2rc1 have none. A .tar before it belongs to it (.tar.gz).
func splitExt(name string) (stem, ext string) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 1 || !isExt(name[dot+1:]) {
		return name, ""
	}
	if tar := dot - len(".tar"); tar > 0 && strings.EqualFold(name[tar:dot], ".tar") {
		dot = tar
	}
	return name[:dot], name[dot:]
}

func isExt(s string) bool {
	if s == "" || len(s) > maxExt || len(s) == 1 && isDigit(s[0]) {
		return false
	}
	for i := range len(s) {
		switch {
		case isLetter(s[i]):
		case !isDigit(s[i]) || i > 0 && isDigit(s[0]):
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
