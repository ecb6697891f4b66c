package fs

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/bits"
	"time"
)

// index says of each name in the journal where its entry lies, and what puts its
// file in order with others, so that the entries themselves need not be in memory.
// It keeps no names but 64 bits of their hashes, with a salt that no server knows:
// that two of a million names meet is as likely as one in thirty million, and then
// one of the two is not known.
//
// It is a table with open addressing: 24 bytes a place, and a fifth to a half more
// places than entries.
type index struct {
	salt  [saltSize]byte
	slots []indexSlot
	n     int
}

// indexSlot is one entry; a hash of 0 is none. Packed, because there may be a
// million.
type indexSlot struct {
	hash   uint64
	packed uint64 // from the top: 1 bit seen, 47 bits size in bytes, the upper 16 bits of the offset
	low    uint32 // the lower bits of the offset of its record
	used   uint32 // last use that is known, in seconds since 1970
}

const (
	seenBit       = 1 << 63
	offsetBits    = 48
	mostIndexSize = 1<<47 - 1         // 128 TiB; of larger ones the file itself tells
	goneAt        = 1<<offsetBits - 1 // where an entry lies that is known to be out of date
	saltSize      = 16
)

func (s *indexSlot) at() int64   { return int64(s.packed&0xffff)<<32 | int64(s.low) }
func (s *indexSlot) size() int64 { return int64(s.packed << 1 >> 17) }

// indexed is what the index knows of a file.
type indexed struct {
	at   int64 // offset of its entry
	size int64 // bytes
	used time.Time
}

func (e indexed) isGone() bool { return e.at == goneAt }

func (s *indexSlot) indexed() indexed {
	return indexed{at: s.at(), size: s.size(), used: time.Unix(int64(s.used), 0)}
}

func newIndex(salt [saltSize]byte) *index { return &index{salt: salt} }

func newSalt() (salt [saltSize]byte) {
	_, _ = rand.Read(salt[:]) // it never fails
	return salt
}

// hash is the same in every process that has the salt, as the table on disk needs
// it. With the processor's instructions for it, SHA-256 takes a tenth of what it
// takes to read a record.
func (x *index) hash(name []byte) uint64 {
	var buf [256]byte
	sum := sha256.Sum256(append(append(buf[:0], x.salt[:]...), name...))
	return notZero(binary.LittleEndian.Uint64(sum[:]))
}

func (x *index) hashOf(name string) uint64  { return x.hash([]byte(name)) }
func notZero(h uint64) uint64               { return max(h, 1) }
func seconds(unix int64) uint32             { return uint32(min(max(unix, 0), math.MaxUint32)) }
func (x *index) home(h uint64) (place int)  { return placeOf(h, len(x.slots)) }
func (x *index) after(place int) (next int) { return (place + 1) % len(x.slots) }

// placeOf spreads hashes over n places in their own order, so that a table that
// grows is copied from front to back.
func placeOf(h uint64, n int) int {
	high, _ := bits.Mul64(h, uint64(n))
	return int(high)
}

// find returns the place of the hash, or the empty one where it would go.
func (x *index) find(h uint64) (place int, found bool) {
	for i := x.home(h); ; i = x.after(i) {
		switch x.slots[i].hash {
		case h:
			return i, true
		case 0:
			return i, false
		}
	}
}

// get returns what is known under the hash.
func (x *index) get(h uint64) (indexed, bool) {
	if x.n == 0 {
		return indexed{}, false
	}
	i, ok := x.find(h)
	if !ok {
		return indexed{}, false
	}
	return x.slots[i].indexed(), true
}

// put takes in an entry, in place of an older one. What lies too far behind to be
// addressed is not taken in.
func (x *index) put(h uint64, e indexed) {
	if e.at >= goneAt {
		x.remove(h)
		return
	}
	x.set(indexSlot{
		hash: h, packed: uint64(min(max(e.size, 0), mostIndexSize))<<16 | uint64(e.at)>>32,
		low: uint32(e.at), used: seconds(e.used.Unix()),
	})
}

// bury notes that what others say under the hash is out of date.
func (x *index) bury(h uint64) {
	x.set(indexSlot{hash: h, packed: goneAt >> 32, low: goneAt & math.MaxUint32})
}

func (x *index) set(s indexSlot) {
	if 6*(x.n+1) > 5*len(x.slots) {
		x.grow(max(64, len(x.slots)+len(x.slots)/4))
	}
	i, ok := x.find(s.hash)
	if !ok {
		x.n++
	}
	x.slots[i] = s
}

// merge takes in what a newer index with the same salt says. There is place for
// all of it first: entries that come in the order of their hashes all go to the
// front of a table that is too small, where each looks long for an empty place.
func (x *index) merge(newer *index) {
	x.reserve(x.n + newer.n)
	for i := range newer.slots {
		switch s := newer.slots[i]; {
		case s.hash == 0:
		case s.indexed().isGone():
			x.remove(s.hash)
		default:
			x.set(s)
		}
	}
}

// reserve makes place for n entries in all.
func (x *index) reserve(n int) {
	if places := 6*(n+1)/5 + 1; places > len(x.slots) {
		x.grow(places)
	}
}

func (x *index) grow(places int) {
	old := x.slots
	x.slots = make([]indexSlot, places)
	for _, s := range old {
		if s.hash != 0 {
			i, _ := x.find(s.hash)
			x.slots[i] = s
		}
	}
}

func (x *index) remove(h uint64) {
	if x.n == 0 {
		return
	}
	if i, ok := x.find(h); ok {
		x.clear(i)
	}
}

// clear empties a place, and moves those behind it up that would not be found any
// more.
func (x *index) clear(i int) {
	x.n--
	for j := x.after(i); x.slots[j].hash != 0; j = x.after(j) {
		if between(i, x.home(x.slots[j].hash), j) {
			continue
		}
		x.slots[i] = x.slots[j]
		i = j
	}
	x.slots[i] = indexSlot{}
}

// between reports whether h lies behind i and not behind j, going round.
func between(i, h, j int) bool {
	if i <= j {
		return i < h && h <= j
	}
	return i < h || h <= j
}

// see marks the entry as one whose file is there.
func (x *index) see(h uint64) {
	if x.n == 0 {
		return
	}
	if i, ok := x.find(h); ok {
		x.slots[i].packed |= seenBit
	}
}

// unsee takes the marks off.
func (x *index) unsee() {
	for i := range x.slots {
		x.slots[i].packed &^= seenBit
	}
}

// keepSeen forgets the entries before the offset end that are not marked.
func (x *index) keepSeen(end int64) {
	for i := 0; i < len(x.slots); i++ {
		s := &x.slots[i]
		if s.hash != 0 && s.packed&seenBit == 0 && s.at() < end {
			x.clear(i)
			i-- // another one may be there now
		}
	}
}
