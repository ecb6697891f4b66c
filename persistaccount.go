package dlmanager

import "time"

// maxAccounted bounds what one file or one reservation counts for, so that the
// Content-Length of a joker (2^63-1) cannot make a sum overflow. 8 PiB is more
// than any disk, and a thousand of them still fit into an int64.
const maxAccounted = 1 << 53

func accounted(size int64) int64 { return min(max(size, 0), maxAccounted) }

// limitFile is one registered file. There may be a million of them: 64 bytes,
// beside the name, its place in a map and in two heaps.
type limitFile struct {
	dir     *limitDir
	name    string
	size    int64  // bytes
	used    int64  // last known use, in Unix nanoseconds; never goes back
	version uint32 // counts what was told of the file, to see if it changed during I/O
	top     int32  // index in ranking.newest or latest; -1: in neither
	low     int32  // index in ranking.huge or oldest; -1: in neither
	newest  bool   // top is in newest
	huge    bool   // low is in huge
	held    bool   // see PersistLimit.hold
	busy    bool   // a pass has it in hand
	failed  bool   // its removal failed, and its next turn has not come
	gone    bool   // it left the accounts
	spare   bool   // it is no finished file: its last use does not count
	leased  bool   // somebody holds it open, and its next turn has not come
	round   uint8  // the last listing in which it was seen, or after which it came
}

func (f *limitFile) lastUse() time.Time { return time.Unix(0, f.used) }

// candidate reports whether f may go once it is old enough.
func (f *limitFile) candidate() bool { return !f.held && !f.busy && !f.failed && !f.leased }

// nanos is t in Unix nanoseconds, for times outside of an int64's range (such as
// the zero time) the nearest one.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, 0)):
		return 0
	case t.After(time.Unix(0, 1<<63-1)):
		return 1<<63 - 1
	}
	return t.UnixNano()
}

// tally is a sum of sizes. Those above the whole limit are in all and in huge.
type tally struct{ all, huge int64 }

// ordinary is the sum of those that are not above the limit.
func (t tally) ordinary() int64 { return t.all - t.huge }

func (t *tally) change(size, limit, sign int64) {
	t.all += sign * size
	if size > limit {
		t.huge += sign * size
	}
}

// countFile adds f to the sums, or with sign -1 takes it off.
func (p *PersistLimit) countFile(f *limitFile, sign int64) {
	p.bytes.change(f.size, p.limit, sign)
	f.dir.bytes.change(f.size, p.limit, sign)
}

// countRoom is countFile for a room.
func (p *PersistLimit) countRoom(r *room, sign int64) {
	p.reserved.change(r.n.Load(), p.limit, sign)
	r.dir.reserved.change(r.n.Load(), p.limit, sign)
}

// over reports whether the limit is exceeded.
func (p *PersistLimit) over() bool { return p.limit != noLimit && p.total().all > p.limit }

func (p *PersistLimit) isOver() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over()
}

// crowded reports whether the limit is exceeded even without what is larger
// than all of it. A file that no eviction makes fit is no reason to evict others.
func (p *PersistLimit) crowded() bool { return p.ordinary() > p.limit }

// enter registers a file, or updates what is known of it.
func (p *PersistLimit) enter(d *limitDir, name string, size int64, used time.Time) {
	size = accounted(size)
	f := d.files.get(name)
	if f == nil {
		if !d.tracked {
			d.remember(name, used)
			return
		}
		f = &limitFile{dir: d, name: name, size: size, used: nanos(used), held: d.holds[name] > 0, round: d.listing.round}
		d.files.put(f)
		p.files++
		p.countFile(f, 1)
		p.rank.insert(f)
		return
	}
	f.version++
	f.failed, f.round = false, d.listing.round
	p.update(f, size, nanos(used))
	p.rank.list(f)
}

// update changes size and, if it is later, last use of f.
func (p *PersistLimit) update(f *limitFile, size, used int64) {
	if size != f.size {
		p.countFile(f, -1)
		p.rank.unlist(f)
		f.size = size
		p.countFile(f, 1)
		p.rank.list(f)
	}
	p.rank.raise(f, used)
}

// drop takes f, which may be nil, out of the accounts.
func (p *PersistLimit) drop(f *limitFile) {
	if f == nil || f.gone {
		return
	}
	f.gone = true
	f.dir.files.remove(f)
	p.files--
	if f.spare {
		f.dir.spares--
	}
	p.countFile(f, -1)
	p.rank.remove(f)
}

// dropAll takes all files of d out of the accounts.
func (p *PersistLimit) dropAll(d *limitDir) {
	for f := range d.files.all() {
		f.gone = true
		p.files--
		p.countFile(f, -1)
	}
	d.files, d.spares = fileSet{}, 0
	p.rank.rebuild() // one by one would cost a logarithm each
}
