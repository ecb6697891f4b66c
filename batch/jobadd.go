package batch

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/dlmanager/dlmanager"
)

// ErrSecret is matched when a link that would be kept in clear has credentials in
// it.
var ErrSecret = errors.New("the link has credentials, which a job does not write down: put it into a list (AddList), or give the credentials to the manager")

// Add adds links and returns how many of them are new; those that the job has seen
// already, in this run or another one, are dropped. It may be called while the job
// runs. With an error, nothing is added.
//
// The links are written to the job's directory in clear. One that has a user, or a
// query that looks signed, is refused with ErrSecret; see [Job.AddList].
func (j *Job) Add(links ...Link) (added int, err error) {
	records := make([]linkRecord, 0, len(links))
	for _, l := range links {
		if err := l.check(); err != nil {
			return 0, err
		}
		r, err := j.newRecord(l)
		if err != nil {
			return 0, err
		}
		if err := j.mayKeep(&l); err != nil {
			return 0, fmt.Errorf("%s: %w", dlmanager.RedactURL(l.URL), err)
		}
		records = append(records, r)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	batch := newLinkBatch(j)
	for i := range records {
		if _, err := batch.admits(&records[i]); err != nil {
			return 0, err
		}
	}
	return batch.added, batch.write()
}

// maxLinkText is how long a link may be that is not kept by reference.
const maxLinkText = 32 << 10

// mayKeep refuses a link that cannot be written down.
func (j *Job) mayKeep(l *Link) error {
	if j.lock != nil && l.hasSecret() {
		return ErrSecret
	}
	size := len(l.URL) + len(l.Name) + len(l.Checksum)
	for _, m := range l.Mirrors {
		size += len(m) + binary.MaxVarintLen16
	}
	if size > maxLinkText {
		return fmt.Errorf("the link is longer than %d KiB", maxLinkText>>10)
	}
	return nil
}

// newRecord says what makes a link that was checked the one it is.
func (j *Job) newRecord(l Link) (linkRecord, error) {
	name, what := l.Name, "" // derived: the name says all
	if name == "" {
		var err error
		if name, err = j.naming(l.URL); err != nil {
			return linkRecord{}, err
		}
	} else {
		what = withoutUser(l.URL)
	}
	r := linkRecord{link: l, name: name, key: hashOf("name", name), priority: int32(max(min(l.Priority, 1<<30), -1<<30))}
	r.sum = nothingMore
	if what != "" || l.Checksum != "" {
		r.sum = sumOf(what, l.Checksum)
	}
	if r.priority != 0 {
		r.flags |= linkPriority
	}
	return r, nil
}

// nothingMore is the sum of most links: their names say all.
var nothingMore = sumOf("", "")

func sumOf(what, checksum string) uint32 {
	sum := hashOf("link", what, checksum)
	return binary.LittleEndian.Uint32(sum[:])
}

// withoutUser returns the URL without what does not count: so a password is not
// hashed, either.
func withoutUser(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	return u.String()
}

// hashOf returns a hash of texts. Two of a million links have the same by chance
// once in 10^26 jobs; who looks for two of his own that do needs 2^64 tries, and
// one of them is dropped then.
func hashOf(kind string, parts ...string) (h [16]byte) {
	var short [512]byte // most texts fit
	text := append(short[:0], kind...)
	for _, p := range parts {
		text = append(append(text, 0), p...)
	}
	sum := sha256.Sum256(text)
	return [16]byte(sum[:16])
}

// hasSecret reports whether there is something in the link that should not be
// written down.
func (l *Link) hasSecret() bool {
	for _, raw := range append([]string{l.URL, l.Checksum}, l.Mirrors...) {
		u, err := url.Parse(raw)
		if err == nil && (u.User != nil || looksSigned(u.RawQuery)) {
			return true
		}
	}
	return false
}

// signed matches the names of parameters that are, or go with, a credential: those
// of the object stores (Signature, X-Amz-*, X-Goog-*, sig of Azure, hdnea of Akamai)
// and what people call theirs.
var signed = sync.OnceValue(func() *regexp.Regexp { // not needed at each start of a command
	return regexp.MustCompile(`(?i)^(x-amz-|x-goog-|x-oss-|x-cos-|q-sign)|sig$|signature|token|secret|passw|pwd|^auth(orization|[-_]|$)|credential|api[-_]?key|access[-_]?key|^key$|session|jwt|hdnea|^policy$|^hmac`)
})

// opaque is how long a value that is neither a path nor prose may be without being
// taken for a secret: version numbers and dates are shorter, commit hashes as long.
const opaque = 40

// looksSigned reports whether a query may hold a credential.
func looksSigned(query string) bool {
	for part := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(part, "=")
		if strings.Trim(value, "=") == "" {
			value = name // a token may stand by itself
		}
		name, value = unescapedQuery(name), unescapedQuery(value)
		if signed().MatchString(name) || len(value) > opaque && !strings.ContainsAny(value, "/ ") {
			return true
		}
	}
	return false
}

func unescapedQuery(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// ConflictError is the refusal of a link that has the name of another one.
type ConflictError struct {
	Name string // "": the one that the URL gives
	Line int    // of the other one; 0: it stands in no list
}

func (e *ConflictError) Error() string {
	text := "another link"
	if e.Line > 0 {
		text = fmt.Sprintf("the link on line %d", e.Line)
	}
	if e.Name == "" {
		return text + " has this URL with another name or checksum: leave one of them out"
	}
	return fmt.Sprintf("%s has the name %q already, with another URL or checksum: give another name", text, e.Name)
}

// linkBatch collects links until they are written. The job's mutex guards it. A dry
// one takes links by reference only: nothing of them is in the log.
type linkBatch struct {
	j     *Job
	body  []byte
	last  linkRecord
	fresh map[[16]byte]freshLink // what is not written yet
	dry   bool                   // the state alone is told
	added int
}

// freshLink is what a link is held against that has the name of another one.
type freshLink struct {
	sum  uint32
	line uint32
}

func newLinkBatch(j *Job) *linkBatch { return &linkBatch{j: j, fresh: map[[16]byte]freshLink{}} }

// admits adds a link if it is new; with a *ConflictError it is not added.
func (b *linkBatch) admits(r *linkRecord) (added bool, err error) {
	there, known := b.fresh[r.key]
	if index, seen := b.j.state.seen[r.key]; !known && seen {
		e := b.j.state.entries.at(index)
		if e.state == entryWithdrawn {
			return true, b.add(r)
		}
		there, known = freshLink{e.sum, e.line}, true
	}
	switch {
	case known && there.sum != r.sum:
		return false, &ConflictError{r.link.Name, int(there.line)}
	case known:
		return false, nil
	}
	return true, b.add(r)
}

func (b *linkBatch) add(r *linkRecord) error {
	if len(b.body) > maxBody-maxLinkText-64 {
		if err := b.write(); err != nil {
			return err
		}
	}
	b.body = appendLink(b.body, r, &b.last)
	b.fresh[r.key] = freshLink{r.sum, r.line}
	b.added++
	return nil
}

// write writes what was collected.
func (b *linkBatch) write() error {
	if len(b.body) == 0 {
		return nil
	}
	var err error
	if b.dry {
		err = b.j.state.apply(kindLinks, 0, b.body)
	} else {
		err = b.j.recordLocked(kindLinks, b.body)
	}
	b.body, b.last = b.body[:0], linkRecord{}
	clear(b.fresh)
	return err
}
