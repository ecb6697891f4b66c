package fs

import (
	"encoding/binary"
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
}

// describes reports whether the entry was written for the file that is there.
// File systems keep times in steps of up to 2 s (FAT); to the second is enough
// beside the size to tell a file that somebody else put there.
func (e Entry) describes(info Info) bool {
	d := info.ModTime.Sub(e.ModTime)
	return e.Size == info.Size && -2*time.Second <= d && d <= 2*time.Second
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
	b = appendText(b, e.ETag)
	return appendText(b, e.LastModified)
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
	e.URL, e.ETag, e.LastModified = r.text(), r.text(), r.text()
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

// entries is the journal of finished files. It is read when an entry is first
// asked for, and again when one is not found: other processes append, too.
type entries struct {
	fsys afero.Fs
	log  *journal.Log

	mu     sync.Mutex // guards all below
	size   int64      // of the journal when it was read
	byName map[string]Entry
}

func newEntries(fsys afero.Fs) *entries {
	return &entries{fsys: fsys, log: journal.New(fsys, entryFile)}
}

func (e *entries) close() error { return e.log.Close() }

// Record remembers the entry of a file that has just got its name.
func (d *Dir) Record(e Entry) error {
	d.twins.add(e.Name)
	if err := d.entries.log.Append(e.encode()); err != nil {
		return err
	}
	d.entries.mu.Lock()
	defer d.entries.mu.Unlock()
	if d.entries.byName != nil {
		d.entries.byName[e.Name] = e
	}
	return nil
}

// forget records that the file called name is gone.
func (d *Dir) forget(name string) {
	d.twins.forget(name)
	_ = d.entries.log.Append(encodeRemoved(name)) // a hint: the file's absence says it, too
	d.entries.mu.Lock()
	defer d.entries.mu.Unlock()
	delete(d.entries.byName, name)
}

// Entry returns what is remembered of the file called name, whose Stat is info.
// An entry that was written for another file of that name does not count.
func (d *Dir) Entry(name string, info Info) (Entry, bool) {
	if e, ok := d.entries.get(name, info); ok {
		return e, true
	}
	if err := d.entries.load(); err != nil {
		return Entry{}, false
	}
	return d.entries.get(name, info)
}

func (e *entries) get(name string, info Info) (Entry, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	entry, ok := e.byName[name]
	return entry, ok && entry.describes(info)
}

// load reads the journal if it is not the one that was read last.
func (e *entries) load() error {
	fi, err := e.fsys.Stat(entryFile)
	if err != nil {
		return err
	}
	e.mu.Lock()
	known := e.byName != nil && e.size == fi.Size()
	e.mu.Unlock()
	if known {
		return nil
	}
	byName := map[string]Entry{}
	size, records, err := journal.Replay(e.fsys, entryFile, func(payload []byte) {
		if entry, ok := decodeEntry(payload); ok {
			byName[entry.Name] = entry
		} else if name, ok := decodeRemoved(payload); ok {
			delete(byName, name)
		}
	})
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.size, e.byName = size, byName
	e.mu.Unlock()
	if records > compactFrom && records > 2*len(byName) {
		return e.compact(byName)
	}
	return nil
}

// compactFrom is how many records a journal has at least before it is worth
// writing anew: below, it is some hundred kilobytes.
const compactFrom = 4096

// compact writes the journal anew with one record a file. Two processes that do
// so at once write the same, and what a third appends meanwhile is lost: that
// costs a file its entry, and the next call fetches it again.
func (e *entries) compact(byName map[string]Entry) error {
	p, err := createPartial(e.fsys, partialDir, key(entryFile), entryFile, 0o666)
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
	for _, entry := range byName {
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
	return p.Commit(SyncNone)
}
