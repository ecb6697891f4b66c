package batch

import (
	"encoding/binary"
	"slices"
)

// The kinds of records. Those that are not known make a job's format another one:
// nothing in it can be left out.
const (
	kindHeader     = 1 // format, magic, bytes of the files that are done
	kindLinks      = 2 // links, each seen and queued
	kindDone       = 3 // index, bytes of the file, bytes of the log that are not needed any more
	kindFailed     = 4 // see failureRecord
	kindValue      = 5 // key, value
	kindUnset      = 6 // key
	kindCheckpoint = 7 // offset, lines, SHA-256
	kindRetry      = 8 // all that failed is queued again
	kindWithdrawn  = 9 // indices
)

// The flags of a link in the log.
const (
	linkByRef    = 1 << iota // what it is stands in the list
	linkOpen                 // its line has no end yet
	linkOver                 // done or withdrawn: what it was is not there any more
	linkPriority             // it has one
	linkGone                 // with linkOver: withdrawn
)

// linkRecord is a link in the log.
type linkRecord struct {
	flags    byte
	key      [16]byte // hash of the name: what makes it the same link
	sum      uint32   // hash of what has to be equal then
	priority int32
	offset   int64 // by reference: where its line begins
	line     uint32
	link     Link   // else
	name     string // that key is the hash of; not in the log
}

// appendLink appends a link to the body of a record. last is the offset of the
// reference before it in the same record.
func appendLink(b []byte, r *linkRecord, last *linkRecord) []byte {
	b = append(b, r.flags)
	b = append(b, r.key[:]...)
	b = binary.LittleEndian.AppendUint32(b, r.sum)
	if r.flags&linkPriority != 0 {
		b = binary.AppendVarint(b, int64(r.priority))
	}
	switch {
	case r.flags&linkByRef != 0:
		b = binary.AppendVarint(b, r.offset-last.offset)
		b = binary.AppendVarint(b, int64(r.line)-int64(last.line))
		last.offset, last.line = r.offset, r.line
	case r.flags&linkOver == 0:
		b = appendLinkText(b, &r.link)
	}
	return b
}

func appendLinkText(b []byte, l *Link) []byte {
	b = appendText(b, l.URL)
	b = appendText(b, l.Name)
	b = appendText(b, l.Checksum)
	b = binary.AppendUvarint(b, uint64(len(l.Mirrors)))
	for _, m := range l.Mirrors {
		b = appendText(b, m)
	}
	return b
}

// link reads what appendLink wrote, but for the text of a link, and returns where
// that begins. end is where the body ends.
func (d *decoder) link(last *linkRecord, end int64) (r linkRecord, at int64) {
	r.flags = d.byte()
	copy(r.key[:], d.bytes(len(r.key)))
	if sum := d.bytes(4); !d.bad {
		r.sum = binary.LittleEndian.Uint32(sum)
	}
	if r.flags&linkPriority != 0 {
		r.priority = int32(d.varint())
	}
	switch {
	case r.flags&linkByRef != 0:
		r.offset = last.offset + d.varint()
		r.line = uint32(int64(last.line) + d.varint())
		last.offset, last.line = r.offset, r.line
		d.bad = d.bad || r.offset < 0
	case r.flags&linkOver == 0:
		at = end - int64(len(d.rest))
		d.skipLinkText()
	}
	return r, at
}

// linkText reads the text of a link that is not kept by reference.
func (d *decoder) linkText() (l Link) {
	l.URL, l.Name, l.Checksum = d.text(), d.text(), d.text()
	for range d.uvarint() {
		if d.bad {
			break
		}
		l.Mirrors = append(l.Mirrors, d.text())
	}
	return l
}

// skipLinkText is linkText that makes nothing of it.
func (d *decoder) skipLinkText() {
	for range 3 {
		d.bytes(int(d.uvarint()))
	}
	for range d.uvarint() {
		if d.bad {
			break
		}
		d.bytes(int(d.uvarint()))
	}
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendUvarints(b []byte, values ...uint64) []byte {
	for _, v := range values {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// decoder reads the body of a record. What is missing is zero, and makes it bad.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); !d.bad {
		return b[0]
	}
	return 0
}

// bytes returns the next n bytes, of the body itself.
func (d *decoder) bytes(n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.bad, d.rest = true, nil
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || v > 1<<62 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) text() string { return string(d.bytes(int(d.uvarint()))) }

// appendIndices appends a list of indices, which it sorts.
func appendIndices(b []byte, indices []uint32) []byte {
	slices.Sort(indices)
	last := uint32(0)
	for _, i := range indices {
		b = binary.AppendUvarint(b, uint64(i-last))
		last = i
	}
	return b
}
