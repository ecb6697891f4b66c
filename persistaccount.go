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
}

func (f *limitFile) lastUse() time.Time { return time.Unix(0, f.used) }

// candidate reports whether f may go once it is old enough.
func (f *limitFile) candidate() bool { return !f.held && !f.busy && !f.failed }

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

func (t *tally) count(size, limit int64) { t.change(size, limit, 1) }

func (t *tally) discount(size, limit int64) { t.change(size, limit, -1) }

func (t *tally) change(size, limit, sign int64) {
	t.all += sign * size
	if size > limit {
		t.huge += sign * size
	}
}

// over reports whether the limit is exceeded.
func (p *PersistLimit) over() bool { return p.bytes.all+p.reserved.all > p.limit }

// crowded reports whether the limit is exceeded even without what is larger
// than all of it. A file that no eviction makes fit is no reason to evict others.
func (p *PersistLimit) crowded() bool {
	return p.bytes.all-p.bytes.huge+p.reserved.all-p.reserved.huge > p.limit
}

func (p *PersistLimit) usage() LimitUsage {
	u := LimitUsage{Files: p.files, Bytes: p.bytes.all, Reserved: p.reserved.all}
	if p.on {
		u.Limit = p.limit
		u.Over = max(0, u.Bytes+u.Reserved-u.Limit)
	}
	return u
}

// enter registers a file, or updates what is known of it.
func (p *PersistLimit) enter(d *limitDir, name string, size int64, used time.Time) {
	size = accounted(size)
	f := d.files[name]
	if f == nil {
		f = &limitFile{dir: d, name: name, size: size, used: nanos(used), held: d.holds[name] > 0}
		d.files[name] = f
		p.files++
		p.bytes.count(size, p.limit)
		p.rank.insert(f)
		return
	}
	f.version++
	f.failed = false
	p.update(f, size, nanos(used))
	p.rank.list(f)
}

// update changes size and, if it is later, last use of f.
func (p *PersistLimit) update(f *limitFile, size, used int64) {
	if size != f.size {
		p.bytes.discount(f.size, p.limit)
		p.rank.unlist(f)
		f.size = size
		p.bytes.count(size, p.limit)
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
	delete(f.dir.files, f.name)
	p.files--
	p.bytes.discount(f.size, p.limit)
	p.rank.remove(f)
}

// dropAll takes all files of d out of the accounts.
func (p *PersistLimit) dropAll(d *limitDir) {
	for _, f := range d.files {
		f.gone = true
		p.files--
		p.bytes.discount(f.size, p.limit)
	}
	d.files = nil
	p.rank.rebuild() // one by one would cost a logarithm each
}
