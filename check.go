package dlmanager

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/digest"
)

// ErrChecksumConflict is matched by the refusal of a download that asks for
// another checksum than the one that is on its way to the same destination.
var ErrChecksumConflict = errors.New("another checksum is asked for by the download that is under way")

// ErrChecksum is matched by a ChecksumError.
var ErrChecksum = errors.New("checksum mismatch")

// ErrInvalidChecksum is matched by the refusal of what is no checksum and names
// no checksum file.
var ErrInvalidChecksum = errors.New("invalid checksum")

// IsChecksumFile reports whether what is given to WithChecksum is the path or the
// URL of a checksum file, not a digest. The error, ErrInvalidChecksum, says that it
// is neither.
func IsChecksumFile(spec string) (bool, error) {
	s, err := parseSpec(spec)
	return err == nil && s.Digests() == nil, err
}

func parseSpec(text string) (digest.Spec, error) {
	spec, err := digest.ParseSpec(text)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrInvalidChecksum, err)
	}
	return spec, err
}

// ChecksumError is content that does not have the digest it should have.
type ChecksumError struct {
	URL  string // without secrets
	Want string // "sha256:…", or several of which none matches
	Got  string
	Lock string // the line of the lock file that wants it, FILE:LINE; "" if none does
}

func (e *ChecksumError) Error() string {
	want := e.Want
	if e.Lock != "" {
		want += " (" + e.Lock + ")"
	}
	return fmt.Sprintf("%s: checksum mismatch: want %s, got %s", e.URL, want, e.Got)
}

// Is makes it match ErrChecksum.
func (e *ChecksumError) Is(target error) bool { return target == ErrChecksum }

// check is the digest that a file must have, as far as that is known.
type check struct {
	spec   digest.Spec
	source [16]byte        // hash of the checksum file's URL and of the names; zero: there is no URL
	names  []string        // under which a checksum file may know the file
	want   []digest.Digest // any of these will do; nil: the checksum file has not been read yet
	lock   string          // the line of the lock file that it is from; "": it is not
}

// newCheck returns the check that was asked for as text. A checksum file with a
// path is read now; the digest is that of one of the names.
func newCheck(text string, fsys afero.Fs, names []string) (*check, error) {
	spec, err := parseSpec(text)
	if err != nil {
		return nil, err
	}
	c := &check{spec: spec, names: names, want: spec.Digests()}
	if u := spec.URL(); u != nil {
		id := identity(u)
		sum := sha256.Sum256(append(id[:], strings.Join(names, "\x00")...))
		c.source = [16]byte(sum[:])
	}
	if spec.Path() == "" {
		return c, nil
	}
	content, err := readLimited(fsys, spec.Path(), digest.MaxFile)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, errNotRegularFile) {
		return nil, fmt.Errorf("%w: checksum file: %w", ErrInvalidChecksum, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read checksum file: %w", err)
	}
	if err := c.resolve(content); err != nil {
		return nil, fmt.Errorf("checksum file %s: %w", spec.Path(), err)
	}
	return c, nil
}

// resolve takes the digest from the checksum file's content.
func (c *check) resolve(content []byte) error {
	found, err := digest.Find(content, c.names...)
	if err != nil {
		return err
	}
	c.want = []digest.Digest{found}
	return nil
}

// checkNames returns under which names a checksum file may know the file: the
// publisher's first.
func checkNames(u *url.URL, name string) []string {
	var names []string
	if base := path.Base(u.Path); base != "." && base != "/" {
		names = append(names, strings.TrimPrefix(u.Path, "/"), base)
	}
	return append(names, path.Base(strings.ReplaceAll(name, `\`, "/")))
}

// algorithm is the one of the digests that are wanted.
func (c *check) algorithm() digest.Algorithm { return c.want[0].Algorithm }

func (c *check) wants(d digest.Digest) bool { return slices.Contains(c.want, d) }

// text is what is wanted, to be shown.
func (c *check) text() string {
	all := make([]string, len(c.want))
	for i, d := range c.want {
		all[i] = d.String()
	}
	return strings.Join(all, " or ")
}

// relation is how what two callers ask for goes together.
type relation int

const (
	agrees    relation = iota // one transfer serves both
	conflicts                 // no file has both digests
	unclear                   // the file has to be there to tell
)

// with compares what is asked for by two callers of one destination.
func (c *check) with(other *check) relation {
	switch resolved := c.want != nil && other.want != nil; {
	case resolved && slices.Equal(c.want, other.want):
		return agrees
	case !resolved && c.spec.String() == other.spec.String() && slices.Equal(c.names, other.names):
		return agrees
	}
	if c.want == nil || other.want == nil || c.algorithm() != other.algorithm() ||
		slices.ContainsFunc(c.want, other.wants) {
		return unclear
	}
	return conflicts
}

// proof is what an entry says of a file's digest.
type proof int

const (
	unproven proof = iota
	proven
	refuted
)

// provenBy returns what the entry of an unchanged file says. A nil check is
// satisfied by every file.
func (c *check) provenBy(e fs.Entry) proof {
	if c == nil {
		return proven
	}
	if c.want == nil {
		if e.CheckedBy == c.source {
			return proven
		}
		return unproven
	}
	known, ok := digestIn(e.Digests, c.algorithm())
	switch {
	case !ok:
		return unproven
	case c.wants(known):
		return proven
	}
	return refuted
}

// checksBy reports whether the check is by a checksum file that the entry does not
// name yet.
func (c *check) checksBy(e fs.Entry) bool {
	return c != nil && c.source != [16]byte{} && c.source != e.CheckedBy
}

// digestIn returns the digest by an algorithm from an entry's list.
func digestIn(list string, a digest.Algorithm) (digest.Digest, bool) {
	for field := range strings.FieldsSeq(list) {
		if d, err := digest.Parse(field); err == nil && d.Algorithm == a {
			return d, true
		}
	}
	return digest.Digest{}, false
}

// joinDigests returns the list with the digests added.
func joinDigests(list string, digests []digest.Digest) string {
	fields := strings.Fields(list)
	for _, d := range digests {
		if !slices.Contains(fields, d.String()) {
			fields = append(fields, d.String())
		}
	}
	return strings.Join(fields, " ")
}

// firstDigest returns the digest to show of a list: the SHA-256 if it is there.
func firstDigest(list string) string {
	if d, ok := digestIn(list, digest.SHA256); ok {
		return d.String()
	}
	first, _, _ := strings.Cut(list, " ")
	return first
}

func (d *Download) checked() bool { return d.currentCheck() != nil }

// checkedBy identifies the checksum file that the file was checked by.
func (d *Download) checkedBy() [16]byte {
	if c := d.currentCheck(); c != nil {
		return c.source
	}
	return [16]byte{}
}
