// Package netrc reads the file in which people keep the user names and passwords
// of hosts, as ftp, curl and git do.
//
// Call [Parse], then [File.Lookup]. There is no standard; this is what is read:
//
//	# a comment, to the end of the line
//	machine example.com
//	    login me
//	    password "with a space, a \" and a \\"
//	machine other.example login me password secret account ignored
//	macdef ignored
//	its lines up to the first empty one
//
//	default login anonymous password me@example.com
//
// Words are separated by spaces, tabs and ends of lines. Keywords are known in
// any case, all words other than those above are errors. A comment begins where
// a keyword could stand: a password may begin with #. A value that begins with a
// double quote ends with one, on the same line; in it a backslash takes away the
// meaning of the character after it, and \n, \r and \t are what they are in Go.
// Without the quote, a backslash is a backslash.
//
// Not supported: the ports, protocols and include files of some dialects.
package netrc

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// File is what a file says.
type File struct {
	machines []entry
	fallback *entry // nil: there is no default
}

type entry struct {
	host            string // in lower case; "" in the default
	login, password string
	given           bool // one of the two is there
}

// Error is what is wrong with a file. It repeats nothing of it.
type Error struct {
	Line   int // from 1
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Parse reads the text of a file. Its error is an [*Error].
func Parse(text []byte) (*File, error) {
	p := &parser{words: newScanner(string(text)), file: &File{}}
	if err := p.parse(); err != nil {
		return nil, err
	}
	return p.file, nil
}

// Lookup returns what the first entry of the host says, or the default if there
// is no such entry; ok is false when it has neither login nor password. Case does
// not count, and neither does a port after the host.
func (f *File) Lookup(host string) (login, password string, ok bool) {
	if len(f.machines) > 0 {
		host = bare(host)
	}
	for i := range f.machines {
		if e := &f.machines[i]; e.host == host {
			return e.login, e.password, e.given
		}
	}
	if f.fallback != nil {
		return f.fallback.login, f.fallback.password, f.fallback.given
	}
	return "", "", false
}

// bare returns the host in lower case, without port and brackets.
func bare(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	return lowerASCII(host)
}

// lowerASCII leaves all else as it is: strings.ToLower makes letters equal that
// are those of different hosts.
func lowerASCII(host string) string {
	b := []byte(host)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// DefaultPath returns where a person's file is: the value of NETRC, or .netrc in
// the directory home, on Windows (goos as in runtime.GOOS) _netrc there. It is ""
// when neither is known. Whether there is such a file is not looked at: curl and
// git prefer .netrc to _netrc on Windows, too, if it is there; name it in NETRC.
func DefaultPath(getenv func(string) string, goos, home string) string {
	if path := getenv("NETRC"); path != "" {
		return path
	}
	switch {
	case home == "":
		return ""
	case goos == "windows":
		return filepath.Join(home, "_netrc")
	default:
		return filepath.Join(home, ".netrc")
	}
}
