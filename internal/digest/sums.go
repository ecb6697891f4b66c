package digest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// MaxFile is how large a checksum file may be, in bytes. One for 100,000 files
// has some 10 MB; what is larger is something else, downloaded by mistake.
const MaxFile = 16 << 20

// Find returns the digest that a checksum file gives for a file of one of the
// names, of which the first that is found counts. It reads the lines of sha256sum
// and its relatives, also with --tag, of openssl dgst and of BSD's sha256, with
// or without an OpenPGP clear-sign wrapper, whose signature is not checked. Lines
// that it cannot read are passed over. A file that has one digest and nothing else
// is about whatever file it lies beside.
//
// An entry with the very path of the name is preferred over one that shares its
// last part only, and among those the strongest algorithm. Two that contradict
// each other then are an error. A line that does not name its algorithm is taken
// for MD5 or SHA by its length: BLAKE2 and SHA-3 digests look the same, and will
// match no file.
func Find(file []byte, names ...string) (Digest, error) {
	if err := refuse(file); err != nil {
		return Digest{}, err
	}
	s := search{names: names, found: make([]found, len(names))}
	var wrapper armor
	for line := range bytes.Lines(bytes.TrimPrefix(file, utf8BOM)) {
		line = wrapper.open(bytes.TrimSpace(line))
		if len(line) > 0 && line[0] != '#' {
			s.line(line)
		}
	}
	return s.result()
}

var utf8BOM = []byte("\xef\xbb\xbf")

// refuse returns the error for a file that is none of checksums as a whole.
func refuse(file []byte) error {
	start := bytes.TrimSpace(bytes.TrimPrefix(file, utf8BOM))
	switch {
	case len(file) > MaxFile:
		return fmt.Errorf("this is no checksum file: it is larger than %d MiB", MaxFile>>20)
	case bytes.HasPrefix(file, []byte("\xff\xfe")), bytes.HasPrefix(file, []byte("\xfe\xff")):
		return errors.New("the checksum file is in UTF-16, as PowerShell writes it: save it as UTF-8")
	case bytes.IndexByte(file, 0) >= 0:
		return errors.New("this is no checksum file: it is binary; perhaps it is the signature or the file itself")
	case bytes.HasPrefix(start, []byte("<")):
		return errors.New("this is no checksum file but a web page: use the URL of the file itself, often called \"raw\"")
	case len(start) == 0:
		return errors.New("the checksum file is empty")
	}
	return nil
}

// search is what was found so far.
type search struct {
	names   []string
	found   []found // for each name
	alone   best    // digests without a name
	alones  int     // how many of them
	entries int     // lines with a digest and a name
	foreign int     // lines with an algorithm that is not offered
	other   int     // lines that make no sense
}

// found are the entries for one name.
type found struct{ path, base best }

// best is the strongest digest of several, and whether there is another one that
// is as strong.
type best struct {
	Digest
	contradicted bool
}

func (b *best) add(a Algorithm, digits []byte) {
	switch {
	case a.size() < b.Algorithm.size():
	case a.size() > b.Algorithm.size():
		*b = best{Digest: Digest{a, strings.ToLower(string(digits))}}
	case !strings.EqualFold(b.Hex, string(digits)):
		b.contradicted = true
	}
}

// line takes in one line.
func (s *search) line(text []byte) {
	e, kind := parseLine(text)
	switch {
	case kind == foreign:
		s.foreign++
	case kind == senseless:
		s.other++
	case len(e.name) == 0:
		s.alones++
		s.alone.add(e.algorithm, e.digits)
	default:
		s.entries++
		s.compare(e)
	}
}

func (s *search) compare(e entry) {
	path := trimDot(e.name)
	base := e.name[lastPart(e.name):]
	for i, name := range s.names {
		name = trimDot(name)
		wanted := name[lastPart(name):]
		switch {
		case wanted == "":
		case string(path) == name:
			s.found[i].path.add(e.algorithm, e.digits)
		case string(base) == wanted:
			s.found[i].base.add(e.algorithm, e.digits)
		}
	}
}

// trimDot takes off what leads to where one is.
func trimDot[T string | []byte](path T) T {
	for len(path) > 2 && path[0] == '.' && (path[1] == '/' || path[1] == '\\') {
		path = path[2:]
	}
	return path
}

// lastPart returns where the last part of a path begins, which some publishers
// write with backslashes.
func lastPart[T string | []byte](path T) int {
	at := len(path)
	for at > 0 && path[at-1] != '/' && path[at-1] != '\\' {
		at--
	}
	return at
}

// result returns the digest that counts.
func (s *search) result() (Digest, error) {
	for i, f := range s.found {
		b := f.path
		if b.IsZero() {
			b = f.base
		}
		if b.contradicted {
			return Digest{}, fmt.Errorf("the checksum file has two different %s digests for %q: give the right one itself, as %s:…", b.Algorithm, s.names[i], b.Algorithm)
		}
		if !b.IsZero() {
			return b.Digest, nil
		}
	}
	if s.alones == 1 && s.entries+s.foreign+s.other == 0 {
		return s.alone.Digest, nil
	}
	return Digest{}, s.miss()
}

// miss returns the error for a file that has nothing for any of the names.
func (s *search) miss() error {
	switch {
	case s.entries > 0:
		return fmt.Errorf("the checksum file has no entry for %s (it has %d for other names): use the file's right name, or another checksum file", s.wanted(), s.entries)
	case s.foreign > 0:
		return fmt.Errorf("the checksum file has no digests but of unknown algorithms: use one with %s", offered)
	case s.alones > 1:
		return fmt.Errorf("the checksum file has %d digests and no names: give the right one itself, as %s:…", s.alones, s.alone.Algorithm)
	case s.alones == 1:
		return errors.New("this is no checksum file: there is more in it than a digest, but no name of a file")
	}
	return errors.New("this is no checksum file: no line in it has a digest")
}

func (s *search) wanted() string {
	if len(s.names) == 0 {
		return "a file without a name"
	}
	quoted := make([]string, len(s.names))
	for i, name := range s.names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(quoted, " or ")
}
