package fs

import (
	"encoding/binary"
	"os"
	"sync"
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

func (e Entry) encode() []byte {
	b := make([]byte, 0, 96+len(e.Name)+len(e.URL)+len(e.ETag)+len(e.LastModified))
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

func (r *fieldReader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return ""
	}
	return string(r.bytes(int(n)))
}

// entries is the journal of finished files. What was appended since, by this and
// other processes, is read when an entry is asked for.
type entries struct {
	fsys afero.Fs
	log  *journal.Log

	// mu guards all below, and keeps reading, appending and compacting apart: it
	// is there for the sake of the I/O under it.
	mu      sync.Mutex
	byName  map[string]Entry
	file    os.FileInfo // of the journal that was read; nil: none was
	size    int64       // it had then
	end     int64       // of the last record that was read
	records int         // how many there were
}

func newEntries(fsys afero.Fs) *entries {
	return &entries{fsys: fsys, log: journal.New(fsys, entryFile), byName: map[string]Entry{}}
}

func (e *entries) close() error { return e.log.Close() }

func (e *entries) append(payload []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.Append(payload)
}

// Record remembers the entry of a file that has just got its name.
func (d *Dir) Record(e Entry) error {
	d.twins.add(e.Name)
	return d.entries.append(e.encode())
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
func (d *Dir) Lookup(name string) (Entry, bool) {
	e := d.entries
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.catchUp(); err != nil {
		return Entry{}, false
	}
	entry, ok := e.byName[name]
	return entry, ok
}

// tidy reads the journal, and writes it anew if most of it is out of date.
func (e *entries) tidy() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.catchUp()
}

// catchUp reads what is new in the journal. It needs mu.
func (e *entries) catchUp() error {
	if fi, err := Lstat(e.fsys, entryFile); err == nil && e.file != nil && fi.Size() == e.size && os.SameFile(e.file, fi) {
		return nil // opening it would take several times as long
	}
	f, err := openOwn(e.fsys, entryFile)
	if err != nil {
		return err
	}
	defer f.Close() // read-only: nothing to lose
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if e.file == nil || fi.Size() < e.size || (fi.Sys() != nil && !os.SameFile(e.file, fi)) {
		e.byName, e.size, e.end, e.records = map[string]Entry{}, 0, 0, 0 // another journal than the one that was read
	}
	e.file = fi
	if fi.Size() == e.size {
		return nil
	}
	end, records, err := journal.Replay(f, e.end, e.take)
	if err != nil {
		return err
	}
	e.size, e.end, e.records = fi.Size(), end, e.records+records
	if e.records > compactFrom && e.records > 2*len(e.byName) {
		return e.compact()
	}
	return nil
}

// take takes in one record.
func (e *entries) take(payload []byte) {
	if entry, ok := decodeEntry(payload); ok {
		e.byName[entry.Name] = entry
	} else if name, ok := decodeRemoved(payload); ok {
		delete(e.byName, name)
	}
}

// compactFrom is how many records a journal has at least before it is worth
// writing anew: below, it is some hundred kilobytes.
const compactFrom = 4096

// compact writes the journal anew with one record a file. It needs mu, so that
// this process appends nothing meanwhile. What another process appends meanwhile
// is lost: that costs a file its entry, and a derived name a fetch.
func (e *entries) compact() error {
	p, err := ownSpot(e.fsys, entryFile).CreateApart(0o666)
	if err != nil {
		return err
	}
	defer p.Cancel()
	var off int64
	var buf []byte
	flush := func() error {
		n, err := p.WriteAt(buf, off)
		off, buf = off+int64(n), buf[:0]
		return err
	}
	for _, entry := range e.byName {
		if buf, err = journal.AppendRecord(buf, entry.encode()); err != nil {
			return err
		}
		if len(buf) >= 256<<10 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	e.file = nil // the next look reads the new one
	return p.Commit(SyncNone)
}
