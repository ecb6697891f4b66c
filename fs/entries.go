package fs

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/internal/journal"
)

// Entry is what is remembered of a finished file beside the file itself.
type Entry struct {
	Name         string
	Identity     [16]byte // hash of the URL's scheme, host, path and query
	URL          string   // without secrets
	Size         int64    // bytes
	ModTime      time.Time
	Fetched      time.Time
	CRC32C       uint32
	ETag         string
	LastModified string
	Digests      string   // "sha256:…" and others, separated by spaces; "": none is known
	CheckedBy    [16]byte // identifies the entry of a checksum file that it was checked by; zero: none
	Unproven     bool     // nothing proved that its end was the end
	// Validated is when the origin last said that the file is still the current
	// one; zero: never since it was fetched.
	Validated time.Time
	// Unsynced names the time since the machine was started during which the file
	// was written, if it was not flushed. "": it was.
	Unsynced string
	// From identifies the URL that sent the validators; zero: it is not known.
	From [16]byte
}

// describes reports whether the entry was written for the file that is there.
func (e Entry) describes(info Info) bool { return info.Is(e.Size, e.ModTime) }

// maxValidator is the longest ETag or Last-Modified that is remembered, in
// bytes; servers send some forty.
const maxValidator = 1 << 10

// validatorText returns the field if it can be a validator: visible characters
// and spaces.
func validatorText(field string) string {
	for i := range len(field) {
		if field[i] < ' ' || field[i] > '~' {
			return ""
		}
	}
	if len(field) > maxValidator {
		return ""
	}
	return field
}

// The kinds of record. Records of a kind that is not known are passed over, and
// so are fields behind those known.
const (
	landed  = 1 // an entry
	removed = 2 // a name whose file was removed
)

// usualEntry is what most entries take, in bytes: 54 always, and of lengths and numbers
// as many at most; the rest is for texts.
const usualEntry = 512

// encode appends the entry to b.
func (e Entry) encode(b []byte) []byte {
	b = append(b, landed)
	b = appendText(b, e.Name)
	b = append(b, e.Identity[:]...)
	b = binary.AppendUvarint(b, uint64(e.Size))
	b = binary.AppendVarint(b, e.ModTime.UnixNano())
	b = binary.AppendVarint(b, e.Fetched.UnixNano())
	b = binary.LittleEndian.AppendUint32(b, e.CRC32C)
	b = appendText(b, e.URL)
	b = appendText(b, validatorText(e.ETag))
	b = appendText(b, validatorText(e.LastModified))
	b = appendText(b, e.Digests)
	b = append(b, e.CheckedBy[:]...)
	unproven := byte(0)
	if e.Unproven {
		unproven = 1
	}
	b = append(b, unproven)
	b = binary.AppendVarint(b, unixNano(e.Validated))
	b = appendText(b, e.Unsynced)
	return append(b, e.From[:]...)
}

// unixNano is 0 for the zero time, which has no such number.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeEntry reads an entry. What is missing at the end stays zero; ok is
// false for another kind of record and for one without name and identity.
func decodeEntry(b []byte) (e Entry, ok bool) {
	if len(b) == 0 || b[0] != landed {
		return Entry{}, false
	}
	r := fieldReader{b: b[1:]}
	e.Name = r.text()
	copy(e.Identity[:], r.bytes(len(e.Identity)))
	if r.bad || e.Name == "" {
		return Entry{}, false
	}
	e.Size = int64(r.uvarint())
	e.ModTime = time.Unix(0, r.varint())
	e.Fetched = time.Unix(0, r.varint())
	if sum := r.bytes(4); len(sum) == 4 {
		e.CRC32C = binary.LittleEndian.Uint32(sum)
	}
	e.URL, e.ETag, e.LastModified = r.text(), validatorText(r.text()), validatorText(r.text())
	e.Digests = validatorText(r.text())
	copy(e.CheckedBy[:], r.bytes(len(e.CheckedBy)))
	flags := r.bytes(1)
	e.Unproven = len(flags) == 1 && flags[0] == 1
	if validated := r.varint(); validated != 0 {
		e.Validated = time.Unix(0, validated)
	}
	e.Unsynced = validatorText(r.text())
	copy(e.From[:], r.bytes(len(e.From)))
	return e, true
}

func encodeRemoved(name string) []byte {
	return appendText([]byte{removed}, name)
}

func decodeRemoved(b []byte) (name string, ok bool) {
	if len(b) == 0 || b[0] != removed {
		return "", false
	}
	r := fieldReader{b: b[1:]}
	name = r.text()
	return name, !r.bad
}

// fieldReader reads fields one after the other; after the first that is not
// whole, all are empty.
type fieldReader struct {
	b   []byte
	bad bool
}

func (r *fieldReader) bytes(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	field := r.b[:n]
	r.b = r.b[n:]
	return field
}

func (r *fieldReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.bytes(n)
	return v
}

func (r *fieldReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.bytes(n)
	return v
}

func (r *fieldReader) text() string { return string(r.textBytes()) }

func (r *fieldReader) textBytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	return r.bytes(int(n))
}

// entries is the journal of finished files. What was appended since, by this and
// other processes, is read when an entry is asked for. In memory is only where the
// entries lie.
type entries struct {
	fsys       afero.Fs
	log        *journal.Log
	compacting atomic.Bool  // this process writes the journal anew
	compacted  atomic.Int64 // when it last tried, in Unix nanoseconds

	// mu guards all below. It is there for the sake of the I/O under it.
	mu     sync.Mutex
	reader *journal.Reader
	index  *index
	turn   int // counts the journals that were read from their beginning
	// saved is where to look up what the index says nothing of; nil: the index
	// knows all.
	saved      *table
	savedEnd   int64 // up to where in the journal a table holds, or was tried
	distrusted bool  // the table that is there is wrong
}

func newEntries(fsys afero.Fs) *entries {
	return &entries{
		fsys: fsys, log: journal.New(fsys, entryFile), reader: journal.NewReader(fsys, entryFile), index: newIndex(newSalt()),
	}
}

func (e *entries) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dropTable()
	return errors.Join(e.log.Close(), e.reader.Close())
}

func (e *entries) append(payload []byte) error {
	due, err := e.log.Append(payload)
	if due {
		_ = e.compact(context.Background()) // or somebody does it later
	}
	return err
}

// Record remembers the entry of a file that has just got its name.
func (d *Dir) Record(e Entry) error {
	d.twins.add(e.Name)
	var room [usualEntry]byte
	return d.entries.append(e.encode(room[:0]))
}

// forget records that the file called name is gone.
func (d *Dir) forget(name string) {
	d.twins.forget(name)
	_ = d.entries.append(encodeRemoved(name)) // a hint: the file's absence says it, too
}

// Entry returns what is remembered of the file called name, whose Stat is info.
// An entry that was written for another file of that name does not count.
func (d *Dir) Entry(name string, info Info) (Entry, bool) {
	entry, ok := d.Lookup(name)
	if !ok || !entry.describes(info) {
		return Entry{}, false
	}
	return entry, true
}

// Lookup returns what is remembered under the name, whatever is there by now.
func (d *Dir) Lookup(name string) (Entry, bool) { return d.entries.lookup(name) }

func (e *entries) lookup(name string) (Entry, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.catchUp(context.Background()); err != nil {
		return Entry{}, false
	}
	entry, ok, err := e.read(name)
	if err != nil { // the table lies, or somebody has changed what was read
		e.distrusted = e.saved != nil
		e.reread()
		if err = e.catchUp(context.Background()); err == nil {
			entry, ok, err = e.read(name)
		}
	}
	if err != nil {
		e.reread()
		return Entry{}, false
	}
	e.save(context.Background())
	return entry, ok
}

// read reads the entry of a name, as far as the journal was read. It needs mu.
func (e *entries) read(name string) (entry Entry, ok bool, err error) {
	known, ok, err := e.find(name)
	if err != nil || !ok {
		return Entry{}, false, err
	}
	payload, err := e.reader.Read(known.at)
	if err != nil {
		return Entry{}, false, err
	}
	entry, ok = decodeEntry(payload)
	switch {
	case ok && entry.Name == name:
		return entry, true, nil
	case e.saved != nil:
		return Entry{}, false, errBadTable
	}
	return Entry{}, false, nil
}

// catchUp reads what is new in the journal: of another one than before, what its
// table does not tell. It needs mu.
func (e *entries) catchUp(ctx context.Context) error {
	if e.reader.Replaced() {
		e.reread()
	}
	if e.reader.End() == 0 {
		e.adopt()
	}
	return e.reader.Follow(ctx, e.forget, e.take)
}

// reread has the journal read from its beginning the next time. It needs mu.
func (e *entries) reread() {
	_ = e.reader.Close() // read-only: nothing to lose
	e.forget()
}

// forget begins the index anew. It needs mu.
func (e *entries) forget() {
	e.dropTable()
	e.index, e.savedEnd = newIndex(newSalt()), 0
	e.turn++
}

// take takes in the record at the offset at.
func (e *entries) take(payload []byte, at int64) {
	kind, name, rest := peekRecord(payload)
	switch kind {
	case landed:
		size, used := peekEntry(rest)
		e.index.put(e.index.hash(name), indexed{at: at, size: size, used: used})
	case removed:
		if e.saved != nil {
			e.index.bury(e.index.hash(name))
		} else {
			e.index.remove(e.index.hash(name))
		}
	}
}

// peekRecord returns the kind of a record, the name in it, and what is behind the
// name. Of one that is not whole, and of one not known, the kind is 0.
func peekRecord(payload []byte) (kind byte, name []byte, rest fieldReader) {
	if len(payload) == 0 || payload[0] != landed && payload[0] != removed {
		return 0, nil, fieldReader{}
	}
	r := fieldReader{b: payload[1:]}
	name = r.textBytes()
	if kind = payload[0]; kind == landed {
		r.bytes(len(Entry{}.Identity))
	}
	if r.bad || len(name) == 0 {
		return 0, nil, fieldReader{}
	}
	return kind, name, r
}

// peekEntry returns the size and the last use of an entry whose file nobody has
// looked at since.
func peekEntry(r fieldReader) (size int64, used time.Time) {
	size = int64(r.uvarint())
	modified, fetched := r.varint(), r.varint()
	return size, time.Unix(0, max(modified, fetched))
}
