package fs

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"time"
)

// ledger is what the file with the count says.
type ledger struct {
	changes    int64 // made to it
	counted    int64 // when files were last counted one by one, in Unix nanoseconds; 0: never
	files      int64 // finished
	bytes      int64 // of these, and of partial files nobody is at work on
	added      int64 // bytes ever added
	landed     int64 // files ever added
	removed    int64 // bytes ever taken off
	limits     int64 // changes of the directory's limit
	aged       int64 // when files were last gone through for their age
	victimAt   int64
	victimUsed int64
	leased     int64 // see Excess
	grace      int64
	newest     int64
	failed     int64

	claims []claimed // of processes with downloads, one each
}

// claimed is what one user of the directory has reserved.
type claimed struct {
	id                      uint64
	reserved, huge, waiting int64
}

// ledgerMagic begins the file; its last character is the version.
const ledgerMagic = "dlmuse1\n"

const (
	ledgerFields = 15
	ledgerHead   = len(ledgerMagic) + 4 + 4 + 8*ledgerFields
	claimSize    = 4 * 8
	// maxClaims bounds the file, which somebody else may have written. More
	// processes than that do not download at once.
	maxClaims = 4096
	// mostBytes bounds each figure and their sum: more than any disk, and far
	// from an overflow.
	mostBytes = 1 << 60
)

func (l *ledger) fields() [ledgerFields]*int64 {
	return [ledgerFields]*int64{
		&l.changes, &l.counted, &l.files, &l.bytes, &l.added, &l.landed, &l.removed, &l.limits,
		&l.aged, &l.victimAt, &l.victimUsed, &l.leased, &l.grace, &l.newest, &l.failed,
	}
}

var ledgerCRC = crc32.MakeTable(crc32.Castagnoli)

// encode appends the ledger to b: the magic, the CRC-32C of the rest, the number
// of claims, the fields, the claims; little endian.
func (l *ledger) encode(b []byte) []byte {
	start := len(b)
	b = append(b, ledgerMagic...)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(l.claims)))
	for _, f := range l.fields() {
		b = binary.LittleEndian.AppendUint64(b, uint64(*f))
	}
	for _, c := range l.claims {
		for _, n := range [...]uint64{c.id, uint64(c.reserved), uint64(c.huge), uint64(c.waiting)} {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
	}
	at := start + len(ledgerMagic)
	binary.LittleEndian.PutUint32(b[at:], crc32.Checksum(b[at+4:], ledgerCRC))
	return b
}

// ledgerSize returns how many bytes a ledger takes that begins with b, 0 if none
// does.
func ledgerSize(b []byte) int {
	if len(b) < ledgerHead || string(b[:len(ledgerMagic)]) != ledgerMagic {
		return 0
	}
	n := binary.LittleEndian.Uint32(b[len(ledgerMagic)+4:])
	if n > maxClaims {
		return 0
	}
	return ledgerHead + int(n)*claimSize
}

// decodeLedger reads a ledger. What is torn, or says what cannot be, is none.
func decodeLedger(b []byte) (l ledger, ok bool) {
	size := ledgerSize(b)
	if size == 0 || len(b) < size {
		return ledger{}, false
	}
	at := len(ledgerMagic)
	if binary.LittleEndian.Uint32(b[at:]) != crc32.Checksum(b[at+4:size], ledgerCRC) {
		return ledger{}, false
	}
	at += 8
	next := func() int64 {
		n := binary.LittleEndian.Uint64(b[at:])
		at += 8
		return int64(n)
	}
	for _, f := range l.fields() {
		*f = next()
	}
	for at < size {
		l.claims = append(l.claims, claimed{uint64(next()), next(), next(), next()})
	}
	return l, l.isSane()
}

// isSane reports whether the figures can be.
func (l *ledger) isSane() bool {
	for _, f := range l.fields() {
		if *f < 0 {
			return false
		}
	}
	total := uint64(l.bytes)
	for _, c := range l.claims {
		if c.reserved < 0 || c.huge < 0 || c.waiting < 0 || c.waiting > mostBytes || c.reserved > mostBytes || c.huge > mostBytes {
			return false
		}
		if total += uint64(c.reserved) + uint64(c.huge); total > mostBytes {
			return false
		}
	}
	return total <= mostBytes && l.files <= mostBytes && l.added <= mostBytes && l.removed <= mostBytes && l.landed <= mostBytes
}

// known reports whether the files were counted.
func (l *ledger) known() bool { return l.counted > 0 }

func (l *ledger) reserved() (n int64) {
	for _, c := range l.claims {
		n += c.reserved
	}
	return n
}

// claimed is all that is reserved.
func (l *ledger) claimed() (n int64) {
	for _, c := range l.claims {
		n += c.reserved + c.huge
	}
	return n
}

// claimOf returns what the user has reserved.
func (l *ledger) claimOf(id uint64) claimed {
	for _, c := range l.claims {
		if c.id == id {
			return c
		}
	}
	return claimed{id: id}
}

// put sets what a user has reserved. A claim of nothing takes no place.
func (l *ledger) put(c claimed) {
	i := slices.IndexFunc(l.claims, func(o claimed) bool { return o.id == c.id })
	empty := c.reserved <= 0 && c.huge <= 0
	switch {
	case i >= 0 && empty:
		l.claims = slices.Delete(l.claims, i, i+1)
	case i >= 0:
		l.claims[i] = c
	case !empty && len(l.claims) < maxClaims:
		l.claims = append(l.claims, c)
	}
}

// add counts finished files. A count that falls below nothing was wrong: the
// files have to be counted again.
func (l *ledger) add(files, bytes int64) {
	if bytes > 0 {
		l.added += bytes
		l.landed += max(files, 0)
	}
	l.removed -= min(bytes, 0)
	l.files += files
	l.bytes += bytes
	if l.files < 0 || l.bytes < 0 {
		l.files, l.bytes, l.counted = max(l.files, 0), max(l.bytes, 0), 0
	}
	if l.bytes > mostBytes || l.added > mostBytes || l.removed > mostBytes {
		l.bytes, l.added, l.removed, l.counted = 0, 0, 0, 0
	}
}

// correct holds the count against what a look at all files has shown that began
// with the ledger begun. What has just landed, or is just being removed, may count
// as reserved: what was being removed when the look began, and what has landed when
// it ends.
func (l *ledger) correct(begun ledger, files, bytes int64) {
	added, removed := max(0, l.added-begun.added), max(0, l.removed-begun.removed)
	reserved := begun.claimed() + l.claimed()
	if l.known() && bytes-removed-reserved <= l.bytes && l.bytes <= bytes+added {
		if added == 0 && removed == 0 && reserved == 0 { // else the look may have seen a file that is going to be counted
			l.files = files
		}
		return
	}
	l.files, l.bytes = files+max(0, l.landed-begun.landed), bytes+added
}

// absorb takes a claim for files, as its owner has died.
func (l *ledger) absorb(c claimed) {
	l.put(claimed{id: c.id})
	l.add(0, c.reserved+c.huge)
}

// usage is what the ledger says.
func (l *ledger) usage() Usage {
	u := Usage{
		Files: l.files, Bytes: l.bytes, Known: l.known(), Changes: l.changes, Limits: l.limits,
		Counted: timeAt(l.counted), Aged: timeAt(l.aged),
		Excess: Excess{Leased: l.leased, Grace: l.grace, Newest: l.newest, Failed: l.failed},
		Victim: Victim{At: timeAt(l.victimAt), LastUse: timeAt(l.victimUsed)},
	}
	for _, o := range l.claims {
		u.Reserved += o.reserved
		u.Huge += o.huge
		u.Waiting += o.waiting
	}
	return u
}

// timeAt is the zero time for 0.
func timeAt(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}
