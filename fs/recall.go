package fs

import (
	"context"
	"time"
)

// listed is a state of the journal: what is appended later may be of files that a
// listing does not come to.
type listed struct {
	turn int
	end  int64
}

// beginListing reads the journal, and returns up to where.
func (e *entries) beginListing(ctx context.Context) listed {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.whole(ctx) != nil { // there is none, or not all of it could be read: then it knows less
		return listed{turn: -1}
	}
	e.index.unsee()
	return listed{e.turn, e.reader.End()}
}

// Remembered returns how many files the journal knows.
func (d *Dir) Remembered(ctx context.Context) int {
	e := d.entries
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.whole(ctx) != nil {
		return 0
	}
	return e.index.n
}

// recall tells what the journal knows of the files, and notes that they are there.
func (e *entries) recall(names []string, known func(i int, size int64, used time.Time)) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, name := range names {
		h := e.index.hashOf(name)
		k, ok := e.index.get(h)
		if !ok || k.isGone() {
			continue
		}
		e.index.see(h)
		if !k.used.After(now) { // else the clock was set back, and the file itself tells
			known(i, k.size, k.used)
		}
	}
}

// endListing forgets the entries of files that were not there: others removed
// them.
func (e *entries) endListing(begun listed) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.turn == begun.turn {
		e.index.keepSeen(begun.end)
		e.save(context.Background())
	}
}
