package fs

import (
	"crypto/sha256"
	"encoding/base32"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"
)

// FlatName returns the last segment of the URL's path, decoded and made
// portable. URLs without one, and those whose last segment means a folder, are a
// [*NameError] that asks for a name. Different URLs may have the same FlatName.
func FlatName(u *url.URL) (string, error) {
	escaped := u.EscapedPath()
	segment := escaped[strings.LastIndexByte(escaped, '/')+1:]
	decoded, err := url.PathUnescape(segment)
	if err != nil {
		decoded = segment
	}
	if decoded == "" || decoded == "." || decoded == ".." {
		return "", &NameError{Name: decoded, Reason: "the URL's path does not end in a file name: give a name"}
	}
	if isOwn(decoded) {
		return "", &NameError{Name: decoded, Reason: "the cache keeps its own files there: give a name"}
	}
	name, _ := portable(decoded)
	if isOwn(name) {
		return "", &NameError{Name: decoded, Reason: "the cache keeps its own files there: give a name"}
	}
	return shorten(name, name), nil
}

// TreeName returns host/path of the URL as a name. It depends on the URL's
// scheme, host, port, path and query alone, and differs where they do:
//
//	https://example.com/dir/tool.tgz         example.com/dir/tool.tgz
//	http://example.com/dir/tool.tgz          example.com+80/dir/tool.tgz
//	http://example.com:8080/dir/tool.tgz     example.com+8080/dir/tool.tgz
//	https://example.com:8443/dir/tool.tgz    example.com+tls8443/dir/tool.tgz
//	https://example.com/dir/tool             example.com/dir/-/tool
//	https://example.com/dir/tool.tgz?v=2     example.com/dir/tool-HASH.tgz
//	https://example.com/dir/                 example.com/dir/index-HASH.html
//
// What cannot be kept to the letter gets a hash of the whole URL. So that no file
// is where another URL needs a folder, the two look different: a file without an
// extension lies in a folder "-" of its own, and a folder that has an extension
// gets a "+" at its end. URLs that differ in case alone have twins for names,
// and the second is refused where names are checked.
func TreeName(u *url.URL) (string, error) {
	t := tree{hash: hashOf(u)}
	folders := []string{t.host(u)}
	segments := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	leaf := segments[len(segments)-1]
	for _, segment := range segments[:len(segments)-1] {
		folders = append(folders, t.folder(segment))
	}
	if u.RawQuery != "" || u.ForceQuery {
		t.lossy = true
	}
	name := t.leaf(leaf)
	if !hasExtension(name) {
		folders = append(folders, leafFolder)
	}
	full := strings.Join(folders, "/") + "/" + name
	if len(full) > maxName {
		// Too deep: the folders are left out, which the hash makes up for.
		t.lossy = true
		full = folders[0] + "/" + leafFolder + "/" + t.leaf(leaf)
		if name := path.Base(full); hasExtension(name) {
			full = folders[0] + "/" + name
		}
	}
	return CleanName(full)
}

// leafFolder is where files without an extension lie. It is no folder's own
// name: a folder "-" of a URL becomes "-+".
const leafFolder = "-"

// tree turns the parts of one URL into those of its name.
type tree struct {
	hash  string
	lossy bool // something was not kept to the letter: the leaf gets the hash
}

// host returns the first folder: the host, and the port unless it is the one of
// https. A port of http and one of https look different.
func (t *tree) host(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	name, changed := portable(host)
	if changed || strings.Contains(host, "+") || len(name) > maxShort || isOwn(name) {
		t.lossy = true
	}
	name = shorten(name, t.hash)
	if isOwn(name) {
		name += "_"
	}
	switch p := portOf(u); {
	case strings.EqualFold(u.Scheme, "http"):
		return name + "+" + p
	case p != "443":
		return name + "+tls" + p
	}
	return name
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case strings.EqualFold(u.Scheme, "http"):
		return "80"
	}
	return "443"
}

// Canonical returns what makes a URL the same resource here: its scheme, host,
// port, path and query. Who asks, and for which fragment, does not count.
func Canonical(u *url.URL) string {
	return strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Hostname()) + ":" + portOf(u) + u.EscapedPath() + "?" + u.RawQuery
}

// folder returns the name of a folder.
func (t *tree) folder(segment string) string {
	name := t.segment(segment)
	if name == leafFolder || strings.HasSuffix(name, "+") || hasExtension(name) {
		name += "+"
	}
	return name
}

// leaf returns the file's own name, with the hash if it is needed by now.
func (t *tree) leaf(segment string) string {
	if segment == "" {
		segment, t.lossy = "index.html", true
	}
	name := t.segment(segment)
	if !t.lossy {
		return name
	}
	stem, extension := splitExtension(name)
	return shorten(stem+"-"+t.hash+extension, t.hash)
}

// segment returns a segment of the path as a part of a name, kept to the letter
// if that is possible.
func (t *tree) segment(segment string) string {
	decoded, err := url.PathUnescape(segment)
	if err != nil {
		decoded = segment
	}
	name, changed := portable(decoded)
	short := shorten(name, t.hash)
	// An escape that need not be one (%41 for A) makes another URL of the same
	// name, and a name may look as if it had a hash already.
	usual := (&url.URL{Path: "/" + decoded}).EscapedPath()[1:]
	if changed || short != name || segment != usual || looksHashed(name) {
		t.lossy = true
	}
	return short
}

// portable replaces what CleanName refuses in a part, and reports whether it
// had to.
func portable(part string) (name string, changed bool) {
	var b strings.Builder
	for i := 0; i < len(part); {
		r, size := utf8.DecodeRuneInString(part[i:])
		if r == '/' || (r == utf8.RuneError && size == 1) || checkRunes(part[i:i+size]) != "" {
			b.WriteByte('_')
		} else {
			b.WriteString(part[i : i+size])
		}
		i += size
	}
	name = b.String()
	if trimmed := strings.TrimRight(name, ". "); trimmed != name {
		name = trimmed + "_"
	}
	if name == "" || isDevice(name) {
		name = "_" + name
	}
	return name, name != part
}

// hashMark begins every hash in a name.
const hashMark = "h"

// hashLength is the length of a hash without its mark, in base32 characters: 80
// bits, so that even somebody who tries finds no two URLs with one.
const hashLength = 16

// hashOf returns the hash of what makes the URL what it is.
func hashOf(u *url.URL) string {
	canonical := Canonical(u)
	if u.ForceQuery {
		canonical += "?"
	}
	return shortHash(canonical)
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hashMark + strings.ToLower(base32.HexEncoding.EncodeToString(sum[:]))[:hashLength]
}

// looksHashed reports whether the name ends as one with a hash does.
func looksHashed(name string) bool {
	stem, _ := splitExtension(name)
	at := len(stem) - hashLength
	if at < 2 || stem[at-2:at] != "-"+hashMark {
		return false
	}
	for _, c := range []byte(stem[at:]) {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'v') {
			return false
		}
	}
	return true
}

// maxShort leaves a part room for the hash, the port and a "+".
const maxShort = 200

// shorten returns the name, or its beginning, the hash of what was cut off with
// seed, and its extension.
func shorten(name, seed string) string {
	if len(name) <= maxShort {
		return name
	}
	stem, extension := splitExtension(name)
	return strings.TrimRight(strings.ToValidUTF8(stem[:maxShort-40], ""), ". ") + "-" + shortHash(name+seed) + extension
}

// hasExtension reports whether the name looks like a file's: a dot, not the
// first character, and behind it a letter and up to nine letters and digits.
// v1.2 and tool have none, tool.tgz and archive.x86 have one.
func hasExtension(name string) bool {
	at := strings.LastIndexByte(name, '.')
	return at > 0 && isExtension(name[at+1:])
}

func isExtension(s string) bool {
	if s == "" || len(s) > 10 || !isLetter(s[0]) {
		return s == "7z"
	}
	for i := range len(s) {
		if !isLetter(s[i]) && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// splitExtension splits a name before its extension, or before both where the
// last but one is of an archive, as in .tar.gz.
func splitExtension(name string) (stem, extension string) {
	if !hasExtension(name) {
		return name, ""
	}
	extension = path.Ext(name)
	stem = strings.TrimSuffix(name, extension)
	if inner := path.Ext(stem); strings.EqualFold(inner, ".tar") && len(stem) > len(inner) {
		return strings.TrimSuffix(stem, inner), inner + extension
	}
	return stem, extension
}
