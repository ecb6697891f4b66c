package fs

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Usage is what a cache directory holds, as all processes at work in it count it
// together.
type Usage struct {
	Files    int64 // finished
	Bytes    int64 // their sizes, with those of partial files that nobody is at work on
	Reserved int64 // bytes that running downloads need, except Huge
	Huge     int64 // bytes that downloads need of which each alone exceeds the limit
	Waiting  int64 // of Reserved, what is held by downloads that wait for more
	Mine     int64 // of Reserved and Huge, what this Dir reserved
	MyHuge   int64 // of Huge, what this Dir reserved

	Known   bool      // the files were counted once; else Files and Bytes say nothing
	Counted time.Time // when they were last counted one by one
	Aged    time.Time // when they were last gone through for their age; zero: never
	Changes int64     // how often the count was changed: of two readings the higher one is newer
	Others  int64     // bytes that others than this Dir have ever added
	Limits  int64     // how often the directory's limit was changed

	Victim Victim // what was evicted last
	Excess Excess // what kept the files that were left when the limit was last found exceeded
}

// Victim is the file that was evicted last, by any process.
type Victim struct {
	At      time.Time // zero: none was
	LastUse time.Time
}

// Excess says by what files were protected, in bytes, when a limit could not be
// kept.
type Excess struct {
	Leased int64 // somebody holds them open
	Grace  int64 // they were used a moment ago
	Newest int64 // they are among the newest
	Failed int64 // they could not be removed
}

// All is all that counts, in bytes.
func (u Usage) All() int64 { return u.Bytes + u.Reserved + u.Huge }

// Change is what somebody adds to the count; what is negative is taken off.
type Change struct {
	Files, Bytes            int64
	Reserved, Huge, Waiting int64
	// Limit, if it is above 0, refuses the change when Bytes and Reserved together
	// would exceed it.
	Limit int64
	// Ahead is how many bytes more may be reserved than Reserved says, if they fit,
	// so that the next changes need not be noted one by one. Others see them as
	// reserved, and these changes, as a rule within 50 ms.
	Ahead int64
}

// NoUsage is the Usage where processes cannot count together.
var NoUsage Usage

// Count changes the count and returns it as it is then. It is not done, and
// nothing is changed, if the limit in c forbids it.
//
// Where processes cannot count together, because the directory is no cache or
// its file system has no locks, every change is done, and Usage is not Known.
func (d *Dir) Count(c Change) (u Usage, done bool) {
	return d.counter.count(c)
}

func (c *counter) count(ch Change) (u Usage, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pace()
	if c.quick(ch) {
		return c.latest, true
	}
	done = true
	c.updateAhead(func(l *ledger) (ahead int64, changed bool) {
		mine := l.claimOf(c.id)
		mine.reserved += ch.Reserved
		mine.huge += ch.Huge
		mine.waiting += ch.Waiting
		if ch.Limit > 0 && l.known() && sum(l.bytes, l.reserved(), ch.Bytes, ch.Reserved) > ch.Limit {
			done = false
			return 0, false
		}
		c.setClaim(l, mine)
		c.add(l, ch.Files, ch.Bytes)
		if ch.Limit > 0 && sum(l.bytes, l.reserved(), ch.Ahead) > ch.Limit {
			return 0, true
		}
		return ch.Ahead, true
	})
	return c.latest, done
}

// sum adds without overflow.
func sum(all ...int64) int64 {
	var s int64
	for _, n := range all {
		if n > 0 && s > math.MaxInt64-n {
			return math.MaxInt64
		}
		s += n
	}
	return s
}

// Usage returns the count as it is now.
func (d *Dir) Usage() Usage {
	d.counter.read()
	return d.LastUsage()
}

// LastUsage returns the count as this Dir saw it last. It does no I/O.
func (d *Dir) LastUsage() Usage { return d.counter.usage() }

func (c *counter) usage() Usage {
	c.seen.Lock()
	defer c.seen.Unlock()
	return c.latest
}

// Counts reports whether the directory's processes count together, or could.
func (d *Dir) Counts() bool { return d.counter.works() }

// leaving is told that a finished file of so many bytes is about to be removed, and
// what it returns whether it was. In between the file counts as reserved: a Recount
// that ends then, with or without the file, does not make the count too small.
func (d *Dir) leaving(size int64) (end func(gone bool)) {
	d.Count(Change{Files: -1, Bytes: -size, Reserved: size})
	return func(gone bool) {
		if gone {
			d.Count(Change{Reserved: -size})
			return
		}
		d.Count(Change{Files: 1, Bytes: size, Reserved: -size})
	}
}

// NoteVictim notes what was evicted.
func (d *Dir) NoteVictim(v Victim) {
	d.counter.change(func(l *ledger) { l.victimAt, l.victimUsed = v.At.UnixNano(), v.LastUse.UnixNano() })
}

// NoteExcess notes why the limit is exceeded.
func (d *Dir) NoteExcess(e Excess) {
	d.counter.change(func(l *ledger) {
		l.leased, l.grace, l.newest, l.failed = e.Leased, e.Grace, e.Newest, e.Failed
	})
}

// NoteAged notes that the files were gone through for their age.
func (d *Dir) NoteAged(now time.Time) {
	d.counter.change(func(l *ledger) { l.aged = now.UnixNano() })
}

// Recount is a look at all files, which shows whether the count is right. What
// others add and remove meanwhile may be seen or not, so a count that this explains
// stays as it is; any other is set to the most that there may be.
type Recount struct {
	d            *Dir
	begun        ledger // when it began
	files, bytes int64
}

// Recount begins one.
func (d *Dir) Recount() *Recount {
	r := &Recount{d: d}
	d.counter.update(func(l *ledger) bool {
		r.begun = *l
		r.begun.claims = slices.Clone(l.claims) // those of l are changed in place
		return false
	})
	return r
}

// File takes in a finished file of so many bytes.
func (r *Recount) File(size int64) {
	r.files++
	r.bytes += size
}

// Leftover takes in a partial file that nobody is at work on.
func (r *Recount) Leftover(size int64) { r.bytes += size }

// End corrects the count.
func (r *Recount) End(now time.Time) {
	r.d.counter.change(func(l *ledger) {
		l.correct(r.begun, r.files, r.bytes)
		l.counted = now.UnixNano()
	})
}

// Sweep takes the reservations of processes that have died for files: their
// partial files are still there, and what had just landed was perhaps not
// counted. The next Recount tells.
func (d *Dir) Sweep() { d.counter.sweep() }

// ReadUsage returns the count of the cache directory at dir as it stands in its
// file, without a lock: only if nobody changes it meanwhile it is sure to be ok.
func ReadUsage(dir string) (u Usage, ok bool) {
	text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(usageFile)))
	if err != nil {
		return u, false
	}
	l, ok := decodeLedger(text)
	return l.usage(), ok
}
