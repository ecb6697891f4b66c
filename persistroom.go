package dlmanager

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dlmanager/dlmanager/fs"
)

// How much a room whose need is not known ahead takes more at a time: as much
// as it has, so that the steps are few, but at least a megabyte, which is some
// milliseconds of a fast download, and at most 64, so that little lies idle.
// Nor more than limit/roomShare: a small cache is not emptied for a small file.
const (
	minRoomStep = 1 << 20
	maxRoomStep = 64 << 20
	roomShare   = 64
)

// room is the space that one download has reserved. Its methods are safe for
// concurrent use. A nil room is that of a download without a limit.
type room struct {
	p      *PersistLimit
	shelf  shelf
	dir    *limitDir
	common commonShelf  // nil: nobody else counts
	n      atomic.Int64 // bytes that count as reserved; written under p.mu
	at     int32        // its place in dir.rooms; guarded by p.mu
	done   bool         // landed or released; guarded by p.mu

	noting sync.Mutex // guards all below, also while the count is changed: for microseconds
	noted  fs.Change  // what of it is in the common count
}

// reserve makes room for n bytes before they are written: they count from now
// on, and what has to go for them is gone when reserve returns. Where several
// processes count together, it waits for room that running downloads are going
// to give back. That there is not enough to evict is no error but reported to
// the shelves; the only error is that ctx ended. A negative n counts as 0.
func (p *PersistLimit) reserve(ctx context.Context, s shelf, n int64) (*room, error) {
	return p.reserveFrom(ctx, s, n, 0)
}

// reserveFrom is reserve for one who has so many bytes in the common count already.
func (p *PersistLimit) reserveFrom(ctx context.Context, s shelf, n, counted int64) (*room, error) {
	d := p.lockDir(s)
	r := &room{p: p, shelf: s, dir: d, noted: fs.Change{Reserved: counted}}
	r.common, _ = s.(commonShelf)
	r.open()
	r.resize(n)
	if err := r.unlockAndMakeRoom(ctx); err != nil {
		r.release()
		return nil, err
	}
	return r, nil
}

// grow makes the room at least n bytes large in all. After an error it may have
// grown and is to be released as ever.
func (r *room) grow(ctx context.Context, n int64) error {
	if r == nil || n <= r.n.Load() {
		return nil
	}
	r.p.mu.Lock()
	if have := r.n.Load(); n > have && !r.done {
		r.resize(r.step(have, n))
	}
	return r.unlockAndMakeRoom(ctx)
}

// step returns how large a room of have bytes becomes when it needs n. What it
// takes ahead does not make it larger than the limit.
func (r *room) step(have, n int64) int64 {
	limit := r.p.limit
	ahead := min(max(have, minRoomStep), maxRoomStep, limit/roomShare)
	return max(n, min(have+ahead, limit))
}

// land turns the room into the registered file called name, in one step, in place
// of a file of so many bytes, -1 if there was none. The file is there already, so
// landing a released room registers it all the same.
func (r *room) land(name string, size int64, used time.Time, replaced int64) {
	if r == nil {
		return
	}
	d := r.p.lockDir(r.shelf)
	r.resize(0)
	r.close()
	r.p.enter(d, name, size, used)
	over := r.p.over()
	r.p.unlock()
	files := int64(1)
	if replaced >= 0 {
		files = 0
	}
	r.giveBack(fs.Change{Files: files, Bytes: accounted(size) - max(replaced, 0)})
	switch {
	case !over:
	case r.common != nil:
		r.p.nudge()
	default:
		_ = r.p.makeRoom(context.Background(), 0) // which does not end
	}
}

// release gives the room back. It may be called again, and after land.
func (r *room) release() {
	if r == nil {
		return
	}
	r.p.mu.Lock()
	r.resize(0)
	r.close()
	r.p.unlock()
	r.giveBack(fs.Change{})
}

// open puts the room among those of its directory. It needs p.mu.
func (r *room) open() {
	r.at = int32(len(r.dir.rooms))
	r.dir.rooms = append(r.dir.rooms, r)
}

// close ends the room. It needs p.mu.
func (r *room) close() {
	if r.done {
		return
	}
	r.done = true
	rooms := r.dir.rooms
	last := len(rooms) - 1
	rooms[r.at] = rooms[last]
	rooms[r.at].at = r.at
	rooms[last] = nil // or the array keeps it
	r.dir.rooms = rooms[:last]
}

// resize accounts n bytes for the room instead of what it has. It needs p.mu.
func (r *room) resize(n int64) {
	r.p.countRoom(r, -1)
	r.n.Store(accounted(n))
	r.p.countRoom(r, 1)
}

// unlockAndMakeRoom unlocks p.mu and evicts what the limit asks for.
func (r *room) unlockAndMakeRoom(ctx context.Context) error {
	if r.common != nil && !r.done {
		r.p.unlock()
		return r.claim(ctx)
	}
	over := r.p.over()
	r.p.unlock()
	if !over {
		return nil
	}
	return r.p.makeRoom(ctx, 0)
}
