package fs

import (
	"cmp"
	"net"
	"net/url"
	"strconv"
	"strings"
)

const (
	// maxTree is how long a TreeName may be in bytes: the longest host and the
	// longest file name fit, and the directory before it has some 400 bytes left of
	// the 1024 that macOS gives a path.
	maxTree = 600
	// leafFolder holds the files whose names have no extension.
	leafFolder = "-"
	// indexLeaf is the file of a URL whose path ends in a slash.
	indexLeaf = "index"
	// blank stands for a segment of which nothing can be kept.
	blank = "_"
)

// TreeName returns host/path of the URL as a name that [CleanName] accepts. It
// depends on the URL alone, and not on what is there:
//
//	https://example.com/dir/tool.tgz        example.com/dir/tool.tgz
//	https://example.com/dir/tool            example.com/dir/-/tool
//	https://example.com/dir.d/tool.tgz      example.com/dir.d+/tool.tgz
//	http://example.com/tool.tgz             example.com+80/tool.tgz
//	http://example.com:8080/tool.tgz        example.com+8080/tool.tgz
//	https://example.com:8443/tool.tgz       example.com+tls8443/tool.tgz
//	https://example.com/tool.tar.gz?v=2     example.com/tool-HASH.tar.gz
//	https://example.com/dir/                example.com/dir/-/index-HASH
//
// Two URLs that differ in scheme, host, port, path or query have different
// names, and neither is a folder of the other's; user, password and fragment do
// not count. That holds because
//
//   - a name without HASH can be read back: it stands for one URL, whose path is
//     spelled as RFC 3986 has it, with no escape that is not needed
//   - all else has HASH, 80 bits of the SHA-256 of the URL, before the extension:
//     what has a query, an empty segment or a slash at the end, characters that
//     are no part of names, other escapes, too great a length, and what looks as
//     if it had HASH
//   - no folder can be taken for a file: a file with an extension (a dot, not the
//     first character, then a letter and up to 11 letters and digits, or a digit
//     and letters, as in .7z) lies where the URL says, one without lies in a folder
//     "-", and a folder that has an extension, is "-" or ends in "+" gets one more
//     "+"
//
// URLs that differ in upper and lower case alone have different names that are
// twins under [Fold]. File systems that ignore case cannot hold both, so the
// cache refuses the second; a mark on every path with a capital would spoil more
// names than it saves. Hosts are lower case, as they mean the same.
//
// A URL without a host is a [*NameError].
func TreeName(u *url.URL) (string, error) {
	if u.Hostname() == "" {
		return "", &NameError{Name: u.EscapedPath(), Reason: "the URL has no host; give a name"}
	}
	if name, ok := plainTreeName(u); ok {
		return name, nil
	}
	return anyTreeName(u)
}

// plainTreeName is TreeName of a URL that is in one spelling already, and whose parts
// are parts of the name as they are. Most are, and a list has many.
func plainTreeName(u *url.URL) (name string, ok bool) {
	host, port, _ := strings.Cut(u.Host, ":")
	var room [maxTree]byte
	b := append(room[:0], host...)
	switch {
	case u.Scheme == "http":
		b = append(append(b, '+'), cmp.Or(port, "80")...)
	case u.Scheme != "https":
		return "", false
	case port != "" && port != "443":
		b = append(append(b, "+tls"...), port...)
	}
	rest, rooted := strings.CutPrefix(u.Path, "/")
	if !rooted || u.RawPath != "" || u.RawQuery != "" || u.ForceQuery || port != "" && !isPort(port) ||
		!isPlainPart(host, lowerPlainChars) || isOwn(host) || len(b)+2*len(u.Path) > maxTree {
		return "", false
	}
	part, rest, more := strings.Cut(rest, "/")
	for ; more; part, rest, more = strings.Cut(rest, "/") {
		if !isPlainPart(part, plainChars) {
			return "", false
		}
		b = append(append(b, '/'), part...)
		if isLikeFile(part) {
			b = append(b, '+')
		}
	}
	if !isPlainPart(part, plainChars) || looksMarked(part) {
		return "", false
	}
	b = append(b, '/')
	if _, ext := splitExt(part); ext == "" {
		b = append(b, leafFolder+"/"...)
	}
	return string(append(b, part...)), true
}

// isPlainPart reports whether a segment of a path or a host is a part of a name that
// stands for it, and has no other characters than those.
func isPlainPart(s string, chars *[1 << 8]bool) bool {
	if s == "" || len(s) > maxPlainPart || s[len(s)-1] == '.' {
		return false
	}
	for i := range len(s) {
		if !chars[s[i]] {
			return false
		}
	}
	return !isDevice(s)
}

// maxPlainPart is short enough for all that may be added to a part.
const maxPlainPart = 200

// plainChars are those that are the same in a URL's path and in a name, and
// lowerPlainChars those of them that a host has in its one spelling.
var (
	plainChars      = charTable(func(c byte) bool { return isLetter(c) || isDigit(c) || strings.IndexByte("-._~+,=@", c) >= 0 })
	lowerPlainChars = charTable(func(c byte) bool { return 'a' <= c && c <= 'z' || isDigit(c) || c == '-' || c == '.' })
)

func charTable(has func(byte) bool) *[1 << 8]bool {
	var table [1 << 8]bool
	for i := range table {
		table[i] = has(byte(i))
	}
	return &table
}

// anyTreeName is TreeName of any URL.
func anyTreeName(u *url.URL) (string, error) {
	r := resourceOf(u)
	folders, leaf, exact := r.parts()
	name := join(folders, leaf)
	if !exact || looksMarked(leaf) || len(name) > maxTree {
		leaf = marked(leaf, hashMark(r.String()))
		name = join(folders, leaf)
	}
	for len(name) > maxTree { // the hash stands for what goes
		folders = folders[:len(folders)-1]
		name = join(folders, leaf)
	}
	return CleanName(name)
}

// join makes the name of a leaf in its folders. It puts a leaf where no folder
// can be.
func join(folders []string, leaf string) string {
	name := make([]byte, 0, maxTree)
	for _, folder := range folders {
		name = append(append(name, folder...), '/')
	}
	if _, ext := splitExt(leaf); ext == "" {
		name = append(name, leafFolder+"/"...)
	}
	return string(append(name, leaf...))
}

// Canonical returns what makes a URL the same resource here, in one spelling (RFC
// 3986, 6.2.2.1 and 6.2.3): scheme, host, port, path and query. Who asks, and for
// which fragment, does not count. The query may hold secrets: to be hashed, not
// to be shown.
func Canonical(u *url.URL) string { return resourceOf(u).String() }

// resource is what makes a URL the one it is, in one spelling (RFC 3986, 6.2.2.1
// and 6.2.3): scheme and host in lower case, the port always there, the path
// never empty.
type resource struct {
	scheme, host, port string
	path               string // escaped, as it is sent
	query              string // with its question mark, if there is one
}

func resourceOf(u *url.URL) resource {
	r := resource{
		scheme: lowerASCII(u.Scheme),
		host:   lowerASCII(u.Hostname()),
		port:   u.Port(),
		path:   u.EscapedPath(),
	}
	if !strings.HasPrefix(r.path, "/") {
		r.path = "/" + r.path
	}
	if r.port == "" {
		switch r.scheme {
		case "http":
			r.port = "80"
		case "https":
			r.port = "443"
		}
	}
	if u.ForceQuery || u.RawQuery != "" {
		r.query = "?" + u.RawQuery
	}
	return r
}

// String returns the URL that is hashed.
func (r resource) String() string {
	return r.scheme + "://" + net.JoinHostPort(r.host, r.port) + r.path + r.query
}

// parts returns the folders and the leaf of the name, and whether the resource
// can be read back from them. The leaf may be too long yet.
func (r resource) parts() (folders []string, leaf string, exact bool) {
	host, exact := r.site()
	folders = append(make([]string, 0, strings.Count(r.path, "/")), host) // the path begins with one
	exact = exact && r.query == ""
	segment, rest, more := strings.Cut(r.path[1:], "/")
	for more {
		part := fitting(unescaped(segment), maxPart-len("+"))
		exact = exact && spells(segment, part)
		folders = append(folders, folder(part))
		segment, rest, more = strings.Cut(rest, "/")
	}
	if segment == "" {
		return folders, indexLeaf, false
	}
	leaf = cmp.Or(portable(unescaped(segment)), blank)
	return folders, leaf, exact && spells(segment, leaf) && len(leaf) <= maxPart
}

// site returns the first folder: the host of https on its own port, with "+PORT"
// for http on any port, and with "+tlsPORT" for https on another one.
func (r resource) site() (folder string, exact bool) {
	suffix := ""
	switch {
	case r.scheme == "http":
		suffix = "+" + r.port
	case r.port != "443":
		suffix = "+tls" + r.port
	}
	// What is neither http nor a port number, for which nobody asks here, gets a
	// hash; so do addresses with colons, and a dot at the end.
	exact = isPort(r.port) && (r.scheme == "http" || r.scheme == "https")
	if !exact {
		suffix = ""
	}
	host := fitting(r.host, maxPart-len(suffix)-len(blank))
	if isOwn(host) {
		host = blank + host
	}
	return host + suffix, exact && host == r.host && !strings.Contains(host, "+")
}

// isPort reports whether s is a port number in its one spelling.
func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil && (s[0] != '0' || s == "0")
}

// fitting returns what is nearest to s among the parts of at most limit bytes.
func fitting(s string, limit int) string {
	part := portable(s)
	if short := cut(part, limit-len(blank)); short != part {
		part = portable(short) // the end may be a space or a device now
	}
	return cmp.Or(part, blank)
}

// spells reports whether segment is the spelling of part with no escape that RFC
// 3986 (3.3, pchar) does not need: then part can be read back to it.
func spells(segment, part string) bool {
	const hex = "0123456789ABCDEF"
	for i := range len(part) {
		c := part[i]
		switch {
		case unescapedChars[c]:
			if segment == "" || segment[0] != c {
				return false
			}
			segment = segment[1:]
		default:
			if len(segment) < len("%XX") || segment[0] != '%' || segment[1] != hex[c>>4] || segment[2] != hex[c&15] {
				return false
			}
			segment = segment[len("%XX"):]
		}
	}
	return segment == ""
}

// unescapedChars are those that need no escape.
var unescapedChars = charTable(func(c byte) bool {
	return isLetter(c) || isDigit(c) || strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0
})

// folder makes a part one that neither a file nor the folder of files without
// extensions can have. It can be undone: less one "+", if there is one.
func folder(part string) string {
	if isLikeFile(part) {
		return part + "+"
	}
	return part
}

func isLikeFile(part string) bool {
	_, ext := splitExt(part)
	return ext != "" || part == leafFolder || part[len(part)-1] == '+'
}

// lowerASCII leaves other letters alone: what they are in a host's lower case is
// for IDNA to say, and two spellings of one host may well have two names.
func lowerASCII(s string) string {
	if !strings.ContainsFunc(s, isUpperASCII) {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

func isUpperASCII(r rune) bool { return 'A' <= r && r <= 'Z' }
