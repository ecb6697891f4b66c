package dlmanager

import (
	"context"
	"time"

	"github.com/dlmanager/dlmanager/fs"
)

// commonShelf is a shelf in which other processes are at work as well, and which
// all of them count together. What it says outranks what this process knows.
type commonShelf interface {
	shelf
	// count changes the count, unless the change's limit forbids it.
	count(fs.Change) (u fs.Usage, done bool)
	usage() fs.Usage            // as it was seen last; no I/O
	look()                      // see it anew
	sweep()                     // take off what the dead have reserved
	list(context.Context) error // add every file that is there, and count them anew
	free() (bytes int64, ok bool)
	noteVictim(fs.Victim)
	noteExcess(fs.Excess)
	noteAged(time.Time)
}

// mostRecent bounds how many uses are remembered of files that are not registered:
// those of the last few seconds, which the disk does not show, seldom are more.
const mostRecent = 4096

// recentUse is a use of a file.
type recentUse struct {
	name string
	at   int64 // in Unix nanoseconds
}

// remember notes the use of a file of which nobody knows yet whether it ever will
// have to be compared with others.
func (d *limitDir) remember(name string, used time.Time) {
	use := recentUse{name, nanos(used)}
	if len(d.recent) < mostRecent {
		d.recent = append(d.recent, use)
	} else {
		d.recent[d.uses%mostRecent] = use
	}
	d.uses++
}

// noteUse tells that the file called name, which has just been seen with that size, was
// used. It is false, and nothing is told, where more would have to be: the file may be
// another one by now, or none. It does no I/O.
func (p *PersistLimit) noteUse(s shelf, name string, size int64, used time.Time) bool {
	d := p.lockDir(s)
	defer p.unlock()
	switch f := d.files.get(name); {
	case f != nil && f.size == accounted(size):
		p.rank.raise(f, nanos(used))
	case f != nil || d.tracked:
		return false
	default:
		d.remember(name, used)
	}
	return true
}

// attach makes s known.
func (p *PersistLimit) attach(s shelf) {
	p.lockDir(s)
	p.unlock()
}

// listing is what is known of the last look at all of a directory's files.
type listing struct {
	done   bool // there was one
	at     int64
	others int64 // fs.Usage.Others then
	took   time.Duration
	ended  time.Time
	round  uint8 // its number: files that are not of it were not there
}

// reading returns the newest of the counts that are known; false if there is none.
func (d *limitDir) reading() (newest fs.Usage, ok bool) {
	for _, s := range d.common {
		if u := s.usage(); u.Known && (!ok || u.Changes > newest.Changes) {
			newest, ok = u, true
		}
	}
	return newest, ok
}

// foreign returns what others account for in the directory, beside what this
// process knows of: their reservations, and files that it has not seen.
func (d *limitDir) foreign() tally {
	var newest fs.Usage
	var ours tally // as the readings have it
	for _, s := range d.common {
		u := s.usage()
		ours.all += u.Mine
		ours.huge += u.MyHuge
		if u.Known && (!newest.Known || u.Changes > newest.Changes) {
			newest = u
		}
	}
	if !newest.Known {
		return tally{}
	}
	return tally{newest.All() - d.bytes.all - ours.all, newest.Huge - ours.huge}
}

// total is all that counts against the limit.
func (p *PersistLimit) total() tally {
	t := tally{p.bytes.all + p.reserved.all, p.bytes.huge + p.reserved.huge}
	for _, d := range p.common {
		f := d.foreign()
		t.all += f.all
		t.huge += f.huge
	}
	return t
}

// ordinary is total without what is larger than the whole limit.
func (p *PersistLimit) ordinary() int64 { return p.total().ordinary() }

// ceiling returns up to what the common count of d may rise; 0: to anything.
func (p *PersistLimit) ceiling(d *limitDir) int64 {
	if !p.on || p.limit == noLimit {
		return 0
	}
	// Without a look at the count of d itself, which may change at any time: what
	// counts in it is settled when it is changed.
	elsewhere := p.bytes.ordinary() - d.bytes.ordinary() + p.reserved.ordinary() - d.reserved.ordinary()
	for _, other := range p.common {
		if other != d {
			elsewhere += other.foreign().ordinary()
		}
	}
	return max(1, p.limit-elsewhere+d.bytes.huge)
}

// setLimit changes the limit to so many bytes; 0 or less: none.
func (p *PersistLimit) setLimit(bytes int64) {
	p.mu.Lock()
	defer p.unlock()
	p.settleLimit(bytes)
	p.rank.limit = p.limit
	p.bytes, p.reserved = tally{}, tally{}
	for _, d := range p.everyDir() {
		d.bytes, d.reserved = tally{}, tally{}
		for f := range d.files.all() {
			p.countFile(f, 1)
		}
		for _, r := range d.rooms {
			p.countRoom(r, 1)
		}
	}
	p.rank.rebuild()
}

// everyDir returns each directory once.
func (p *PersistLimit) everyDir() []*limitDir {
	seen := map[*limitDir]bool{}
	var all []*limitDir
	for _, d := range p.dirs {
		if !seen[d] {
			seen[d] = true
			all = append(all, d)
		}
	}
	return all
}

// nudge asks whoever evicts in the background to go on.
func (p *PersistLimit) nudge() {
	select {
	case p.wake <- struct{}{}:
	default: // it is asked already
	}
}

// low is where eviction in the background ends: a sixteenth below the limit, so
// that of a full cache's files a few percent go at a time and not one for each
// that comes, and at most a gigabyte, which is some seconds of a fast network.
func (p *PersistLimit) low() int64 { return p.limit - min(p.limit/16, 1<<30) }

// learn lists the directory of s.
func (p *PersistLimit) learn(ctx context.Context, s shelf) error {
	p.attach(s)
	e, err := p.evict(ctx, passMode{learn: s, listOnly: true})
	p.warn(e)
	return err
}

// relist is learn for a directory that was listed before. Unless always, it is done
// only if somebody has to choose among its files.
func (p *PersistLimit) relist(ctx context.Context, s shelf, always bool) error {
	p.mu.Lock()
	d := p.dirs[s]
	due := d != nil && p.on && (d.tracked || always)
	if due {
		d.listing.done = false
	}
	p.mu.Unlock()
	if !due {
		return nil
	}
	return p.learn(ctx, s)
}

// outdated reports whether a look at all files is worth while before f goes, or nil
// because no candidate is left: others have added files since the last one that
// may be older.
func (d *limitDir) outdated(f *limitFile) bool {
	if !d.listing.done {
		return true
	}
	u, ok := d.reading()
	if !ok { // each process goes by what it knows
		return false
	}
	if f == nil {
		return u.Bytes != d.bytes.all
	}
	return f.dir == d && f.used >= d.listing.at && u.Others != d.listing.others
}

// mayList reports whether the last look at all files is long enough ago: looking
// takes a twentieth of the time at most.
func (d *limitDir) mayList(now time.Time) bool {
	return !d.listing.done || now.Sub(d.listing.ended) >= 20*d.listing.took
}

// listDir looks at all files of the directory.
func (e *pass) listDir(ctx context.Context, d *limitDir) error {
	p := e.p
	p.mu.Lock()
	if len(d.common) == 0 { // its manager was closed
		p.mu.Unlock()
		return nil
	}
	s, began := d.common[0], time.Now()
	d.tracked = true
	d.listing.round++
	d.listing.at = nanos(p.cfg.now())
	p.inUse = s
	p.mu.Unlock()
	e.listed[d] = true
	others := s.usage().Others
	err := s.list(ctx)
	p.mu.Lock()
	defer p.unlock()
	p.inUse = nil
	p.idle.Broadcast()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil { // of single folders; what could be read is in
		e.errs = append(e.errs, err)
	} else {
		p.dropUnseen(d)
	}
	for _, use := range d.recent {
		if f := d.files.get(use.name); f != nil {
			p.rank.raise(f, use.at)
		}
	}
	d.recent, d.uses = nil, 0
	d.listing.done, d.listing.others = true, others
	d.listing.took, d.listing.ended = time.Since(began), time.Now()
	return nil
}

// unseenAtOnce is how many files are gone through before somebody else gets mu: some
// hundred microseconds, so that no hit waits for a million of them.
const unseenAtOnce = 1 << 14

// dropUnseen takes out the files that were not there when the directory was listed.
// It gives up mu now and then.
func (p *PersistLimit) dropUnseen(d *limitDir) {
	for from := 0; from < d.files.places(); from += unseenAtOnce {
		for _, f := range d.files.some(from, unseenAtOnce) {
			if f.round != d.listing.round {
				p.drop(f)
			}
		}
		p.mu.Unlock()
		p.mu.Lock()
	}
}

// listWhere lists the directories of which too little is known for what the pass
// is about to do.
func (e *pass) listWhere(ctx context.Context) error {
	for {
		d := e.unlisted()
		if d == nil {
			return nil
		}
		if err := e.listDir(ctx, d); err != nil {
			return err
		}
	}
}

func (e *pass) unlisted() *limitDir {
	p := e.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.mode.learn != nil {
		d := p.dirs[e.mode.learn]
		e.mode.learn = nil
		if d != nil && len(d.common) > 0 && !d.listing.done {
			return d
		}
	}
	if !p.on || len(p.common) == 0 || e.mode.listOnly {
		return nil
	}
	short := p.over() || e.short > 0
	pressing := short || e.mode.aged || e.mode.low && p.ordinary() > p.low()
	f, now := e.next(), time.Now()
	for _, d := range p.common {
		_, known := d.reading()
		switch {
		case e.listed[d]: // once a pass is enough
		case !known && d.common[0].usage().Changes > 0, // the count was lost
			pressing && !d.listing.done, short && d.outdated(f):
			if e.mode.relist || d.mayList(now) {
				return d
			}
			e.deferred = e.deferred || f == nil
		}
	}
	return nil
}
