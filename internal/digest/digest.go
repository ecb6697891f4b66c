// Package digest checks a file against what its publisher says of it: it reads
// the digests that a caller asks for ([ParseSpec]), finds one in a checksum file
// ([Find]), and computes those of a file while it arrives ([Stream]).
//
// A digest that matches proves that the file is the one the digest was made of,
// and no more than that: whoever can change both the file and its checksum file
// is not found out, so that a digest from another place than the file is worth
// more. Signatures are not checked.
package digest

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// Algorithm is the name of a hash function, in lower case.
type Algorithm string

// All algorithms there are. A longer digest is a stronger one among them.
const (
	MD5    Algorithm = "md5"
	SHA1   Algorithm = "sha1"
	SHA256 Algorithm = "sha256"
	SHA384 Algorithm = "sha384"
	SHA512 Algorithm = "sha512"
)

// offered is how an error names the algorithms, best first.
const offered = "sha256, sha384, sha512, md5 or sha1"

// New returns a new hash. It panics for an algorithm that is none of the
// constants, which neither Parse, ParseSpec nor Find returns.
func (a Algorithm) New() hash.Hash {
	switch a {
	case MD5:
		return md5.New()
	case SHA1:
		return sha1.New()
	case SHA256:
		return sha256.New()
	case SHA384:
		return sha512.New384()
	case SHA512:
		return sha512.New()
	}
	panic("digest: no such algorithm: " + string(a))
}

// IsStrong reports whether a match proves anything. MD5 and SHA-1 do not, since
// two files of one digest can be made at will; they find damage, and are here
// because some publishers offer nothing else.
func (a Algorithm) IsStrong() bool { return a.size() > sha1.Size }

// size returns the length of a digest in bytes, and with it the order of
// strength; 0 for an unknown algorithm.
func (a Algorithm) size() int {
	switch a {
	case MD5:
		return md5.Size
	case SHA1:
		return sha1.Size
	case SHA256:
		return sha256.Size
	case SHA384:
		return sha512.Size384
	case SHA512:
		return sha512.Size
	}
	return 0
}

// ofLength returns the algorithm whose digests have so many hexadecimal digits,
// or "".
func ofLength(digits int) Algorithm {
	for _, a := range []Algorithm{MD5, SHA1, SHA256, SHA384, SHA512} {
		if digits == 2*a.size() {
			return a
		}
	}
	return ""
}

// Digest is the digest of a file. Equal ones compare as equal with ==. The zero
// value stands for none.
type Digest struct {
	Algorithm Algorithm
	Hex       string // in lower case
}

// String returns the digest in the form that Parse reads, as in "sha256:…", and
// "" for the zero value.
func (d Digest) String() string {
	if d.IsZero() {
		return ""
	}
	return string(d.Algorithm) + ":" + d.Hex
}

// IsZero reports whether d is no digest.
func (d Digest) IsZero() bool { return d == Digest{} }

// of returns the digest whose bytes sum holds.
func of(a Algorithm, sum []byte) Digest { return Digest{a, hex.EncodeToString(sum)} }

// Parse reads an algorithm's name, a colon and all hexadecimal digits of a
// digest, in either case.
func Parse(s string) (Digest, error) {
	name, digits, ok := strings.Cut(s, ":")
	if !ok {
		return Digest{}, errors.New("not a digest: write its algorithm before it, as in sha256:…")
	}
	a := Algorithm(strings.ToLower(name))
	if a.size() == 0 {
		return Digest{}, unknown(name)
	}
	if err := a.check(digits); err != nil {
		return Digest{}, err
	}
	return Digest{a, strings.ToLower(digits)}, nil
}

// check returns what is wrong with the digits of a digest.
func (a Algorithm) check(digits string) error {
	takes := fmt.Sprintf("%s takes %d hexadecimal digits", a, 2*a.size())
	if !isHex(digits) {
		return fmt.Errorf("%s and nothing else: copy the digest alone, or write ./%s:… if that is a file's name", takes, a)
	}
	if len(digits) == 2*a.size() {
		return nil
	}
	if other := ofLength(len(digits)); other != "" {
		return fmt.Errorf("%s, and this has %d as %s does: write %s:… if it is one", takes, len(digits), other, other)
	}
	return fmt.Errorf("%s, and this has %d: copy the whole digest", takes, len(digits))
}

// unknown is the error for an algorithm that is not offered.
func unknown(name string) error {
	if a := named(name); a != "" {
		return fmt.Errorf("algorithm %q is written differently here: write %s:…", name, a)
	}
	if len(name) > longestName {
		return fmt.Errorf("unknown algorithm before the colon: use %s", offered)
	}
	return fmt.Errorf("unknown algorithm %q: use %s", name, offered)
}

// longestName is more than the name of any hash function has, in bytes.
const longestName = 20

// named returns the algorithm that tools give one of several names: SHA256,
// SHA-256 (RFC 9530), SHA2-256 (OpenSSL 3). It returns "" for any other.
func named(name string) Algorithm {
	if len(name) > longestName {
		return ""
	}
	name = strings.ToLower(name)
	if rest, ok := strings.CutPrefix(name, "sha2-"); ok {
		name = "sha" + rest
	} else if rest, ok := strings.CutPrefix(name, "sha-"); ok {
		name = "sha" + rest
	}
	if a := Algorithm(name); a.size() > 0 {
		return a
	}
	return ""
}

func isHex[T string | []byte](s T) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return len(s) > 0
}
