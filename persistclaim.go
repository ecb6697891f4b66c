package dlmanager

import (
	"context"
	"time"

	"github.com/dlmanager/dlmanager/fs"
)

// How often a download that waits for room looks again, and for how long it does
// while nothing changes at all: then those it waits for are stopped or as good as
// dead, and exceeding the limit, which is reported, is the lesser evil.
const (
	firstRoomWait = 2 * time.Millisecond
	mostRoomWait  = 50 * time.Millisecond
	roomPatience  = 5 * time.Minute
)

// claim has the room counted by all, once it fits.
func (r *room) claim(ctx context.Context) error {
	p := r.p
	need := r.unnoted()
	if r.note(false) {
		short := p.lacking(r.common, need)
		if short == 0 && !p.isOver() {
			return nil
		}
		return p.makeRoom(ctx, short)
	}
	var seen int64
	var since time.Time
	for wait := firstRoomWait; ; wait = min(2*wait, mostRoomWait) {
		again, err := p.tryMakeRoom(ctx, p.lacking(r.common, need))
		if err != nil {
			return err
		}
		if r.note(false) {
			return nil
		}
		u := r.rest()
		if u.Changes != seen {
			seen, since = u.Changes, time.Now()
		}
		if u.Reserved <= u.Waiting && !again || time.Since(since) > roomPatience {
			r.note(true) // nobody at work is going to give room back
			p.tellExceeded()
			return nil
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// note brings the common count in line with the room, unless the limit forbids it
// and force is false.
func (r *room) note(force bool) bool {
	r.noting.Lock()
	defer r.noting.Unlock()
	p := r.p
	p.mu.Lock()
	var want fs.Change
	if n := r.n.Load(); n > p.limit {
		want.Huge = n
	} else {
		want.Reserved = n
	}
	c := fs.Change{
		Reserved: want.Reserved - r.noted.Reserved, Huge: want.Huge - r.noted.Huge, Waiting: -r.noted.Waiting,
	}
	unknown := p.on && !r.common.usage().Known && r.common.usage().Changes > 0
	if !force && c.Reserved > 0 {
		c.Limit, c.Ahead = p.ceiling(r.dir), p.ahead(want.Reserved)
	}
	p.mu.Unlock()
	if unknown && !force {
		return false // the files have to be counted first
	}
	if c.Reserved == 0 && c.Huge == 0 && c.Waiting == 0 {
		return true
	}
	if _, done := r.common.count(c); !done {
		return false
	}
	r.noted = want
	return true
}

// mostAhead is how many bytes are reserved ahead in the common count, so that some
// hundred small files are noted together. A killed process's are taken for files
// until these are counted anew, so it is a thousandth of the limit at most.
const mostAhead = 1 << 20

// ahead returns how much is to be reserved beyond the need of a download.
func (p *PersistLimit) ahead(need int64) int64 {
	switch {
	case need > mostAhead/4:
		return 0 // noting it costs next to nothing beside
	case !p.on || p.limit == noLimit:
		return mostAhead
	}
	return min(mostAhead, p.limit/1000)
}

// rest tells the others that the download does not get on for now, so that nobody
// waits for it, and returns the count.
func (r *room) rest() fs.Usage {
	if r == nil || r.common == nil {
		return fs.NoUsage
	}
	r.noting.Lock()
	defer r.noting.Unlock()
	u, _ := r.common.count(fs.Change{Waiting: r.noted.Reserved - r.noted.Waiting})
	r.noted.Waiting = r.noted.Reserved
	return u
}

// wake tells them that it does.
func (r *room) wake() {
	if r == nil || r.common == nil {
		return
	}
	r.noting.Lock()
	defer r.noting.Unlock()
	if r.noted.Waiting != 0 {
		r.common.count(fs.Change{Waiting: -r.noted.Waiting})
		r.noted.Waiting = 0
	}
}

// giveBack takes the room out of the common count and makes the change with it.
func (r *room) giveBack(c fs.Change) {
	if r.common == nil {
		return
	}
	r.noting.Lock()
	defer r.noting.Unlock()
	c.Reserved, c.Huge, c.Waiting = -r.noted.Reserved, -r.noted.Huge, -r.noted.Waiting
	r.noted = fs.Change{}
	if c != (fs.Change{}) {
		r.common.count(c)
	}
}

// unnoted returns how many bytes of the room are not in the common count yet.
func (r *room) unnoted() int64 {
	r.noting.Lock()
	defer r.noting.Unlock()
	return max(0, r.n.Load()-r.noted.Reserved-r.noted.Huge)
}

// lacking returns how many bytes the file system has less than it is to keep free
// when need more are written.
func (p *PersistLimit) lacking(s commonShelf, need int64) int64 {
	if p.cfg.minFree <= 0 {
		return 0
	}
	free, ok := s.free()
	if !ok {
		return 0
	}
	return max(0, p.cfg.minFree+need-free)
}
