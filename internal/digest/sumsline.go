package digest

import "bytes"

// entry is one line of a checksum file.
type entry struct {
	algorithm Algorithm
	digits    []byte // hexadecimal, in either case
	name      []byte // empty: for whatever file
}

// kind is what a line was found to be.
type kind int

const (
	senseless kind = iota
	foreign        // an entry of an algorithm that is not offered
	readable
)

// parseLine reads a line without white space around it.
func parseLine(line []byte) (entry, kind) {
	rest, escaped := bytes.CutPrefix(line, []byte(`\`))
	e, k := parseTagged(rest)
	if k == senseless {
		e, k = parsePlain(rest)
	}
	if escaped && k == readable {
		name, ok := unescape(e.name)
		if !ok || len(name) == 0 {
			return entry{}, senseless
		}
		e.name = name
	}
	return e, k
}

// parsePlain reads what GNU's tools write, "HEX  name" or, for what was read as
// binary, "HEX *name", in which the digest may name its algorithm. Tabs and
// columns are read as well. The name "-" is standard input's, which means none.
func parsePlain(line []byte) (entry, kind) {
	word, name := line, []byte(nil)
	if at := bytes.IndexAny(line, " \t"); at >= 0 {
		word, name = line[:at], line[at+1:]
		name = bytes.TrimPrefix(name, []byte("*"))
		if after := bytes.TrimPrefix(name, []byte(" ")); len(after) < len(name) {
			name = bytes.TrimLeft(after, " \t")
		}
	}
	if string(name) == "-" {
		name = nil
	}
	a, digits := cutAlgorithm(word)
	if a == "" || len(digits) != 2*a.size() || !isHex(digits) {
		return entry{}, senseless
	}
	return entry{a, digits, name}, readable
}

// cutAlgorithm parts "sha256:HEX", or tells the algorithm from the length.
func cutAlgorithm(word []byte) (Algorithm, []byte) {
	if name, digits, ok := bytes.Cut(word[:min(len(word), longestWord)], []byte(":")); ok {
		return named(string(name)), digits
	}
	return ofLength(len(word)), word
}

// longestWord is more than any algorithm with its digest takes, in bytes.
const longestWord = 200

// parseTagged reads what BSD's tools and GNU's --tag write, "SHA256 (name) = HEX",
// and OpenSSL, "SHA2-256(name)= HEX". A name may have parentheses in it.
func parseTagged(line []byte) (entry, kind) {
	open := bytes.IndexByte(line[:min(len(line), longestName+2)], '(')
	shut := bytes.LastIndexByte(line, ')')
	if open < 1 || shut < open {
		return entry{}, senseless
	}
	digits, ok := bytes.CutPrefix(bytes.TrimLeft(line[shut+1:], " \t"), []byte("="))
	digits = bytes.TrimLeft(digits, " \t")
	if !ok || !isHex(digits) {
		return entry{}, senseless
	}
	a := named(string(bytes.TrimRight(line[:open], " \t")))
	if a == "" {
		return entry{}, foreign
	}
	e := entry{a, digits, line[open+1 : shut]}
	if len(digits) != 2*a.size() || len(e.name) == 0 {
		return entry{}, senseless
	}
	if string(e.name) == "-" || string(e.name) == "stdin" {
		e.name = nil // what OpenSSL and GNU call standard input
	}
	return e, readable
}

// unescape undoes what GNU's tools do to a name with line ends or backslashes;
// the line begins with a backslash then.
func unescape(name []byte) ([]byte, bool) {
	plain := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '\\' {
			if i++; i == len(name) {
				return nil, false
			}
			switch name[i] {
			case '\\':
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			default:
				return nil, false
			}
		}
		plain = append(plain, c)
	}
	return plain, true
}

// armor is where one is in an OpenPGP clear-signed text (RFC 9580, section 7).
type armor int

const (
	inPlain  armor = iota // outside, or after the signature
	inHeader              // up to the first empty line
	inSigned
	inSignature
)

// open returns the line without what the wrapper made of it; empty if it is the
// wrapper's own.
func (a *armor) open(line []byte) []byte {
	switch {
	case string(line) == "-----BEGIN PGP SIGNED MESSAGE-----":
		*a = inHeader
	case string(line) == "-----BEGIN PGP SIGNATURE-----":
		*a = inSignature
	case *a == inSignature:
		if string(line) == "-----END PGP SIGNATURE-----" {
			*a = inPlain
		}
	case *a == inHeader:
		if len(line) == 0 {
			*a = inSigned
		}
	case *a == inSigned:
		return bytes.TrimPrefix(line, []byte("- "))
	default:
		return line
	}
	return nil
}
