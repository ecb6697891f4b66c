package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dlmanager/dlmanager/fs"
)

// retryFailed is how often downloads try again what could not be removed:
// permissions and open handles last, and a folder full of such files must not
// cost every download a try at each of them.
const retryFailed = time.Minute

// retryLeased is how often files are tried again that somebody held open: a lease
// lasts for seconds or hours, and a pass must not try each of them.
const retryLeased = 5 * time.Second

// passMode says how thorough a pass is.
type passMode struct {
	recount     bool  // look at every file first
	retryFailed bool  // try at once again what could not be removed before
	relist      bool  // look for what others have added however short ago the last look was
	noGrace     bool  // evict also what was used within the grace time
	aged        bool  // evict what is too old, too
	low         bool  // go on to the low-water mark
	short       int64 // bytes to evict whatever the limit
	learn       shelf // list its directory first
	listOnly    bool  // evict nothing
}

// pass is one walk along the candidates: pick one, look at it, remove it, until
// the limit is kept or nobody is left. Only the holder of the turn runs one.
type pass struct {
	p      *PersistLimit
	mode   passMode
	now    int64
	short  int64 // bytes that are still to be evicted whatever the limit
	freed  int64 // bytes
	listed map[*limitDir]bool
	// deferred says that nothing was left to evict of what is known, and that it is
	// too early to look for more.
	deferred bool
	// stuck says that the limit is exceeded, and that nothing is left to evict.
	stuck   bool
	saved   int // candidates that turned out to be used or changed
	removed []removedFrom
	errs    []error
	telling []shelf // to be told that the limit is exceeded
	usage   LimitUsage
}

type removedFrom struct {
	shelf shelf
	file  Removed
}

// victim is a candidate in hand, as it was known when it was picked.
type victim struct {
	file    *limitFile
	shelf   shelf
	size    int64
	used    int64
	version uint32
}

// evict runs a pass when its turn comes, then tells the shelves what happened.
// An error means that ctx ended; what could not be removed is in the pass.
func (p *PersistLimit) evict(ctx context.Context, mode passMode) (*pass, error) {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	e, err := p.runPass(ctx, mode)
	// The turn is over: a hook may start a download.
	victims := map[commonShelf]fs.Victim{}
	for _, r := range e.removed {
		r.shelf.evicted(r.file)
		if s, ok := r.shelf.(commonShelf); ok {
			victims[s] = fs.Victim{At: p.cfg.now(), LastUse: r.file.LastUse}
		}
	}
	for s, v := range victims {
		s.noteVictim(v)
	}
	tell(e.usage, e.telling)
	return e, err
}

func (p *PersistLimit) runPass(ctx context.Context, mode passMode) (*pass, error) {
	defer func() { <-p.turn }()
	e := &pass{p: p, mode: mode, now: nanos(p.cfg.now()), short: mode.short, listed: map[*limitDir]bool{}}
	p.sweep()
	if mode.recount {
		e.recount()
	}
	e.requeueFailed(mode.retryFailed)
	for {
		if ctx.Err() != nil {
			return e, context.Cause(ctx)
		}
		if err := e.listWhere(ctx); err != nil {
			return e, err
		}
		if mode.listOnly || !e.step() {
			e.noteAged()
			return e, nil
		}
	}
}

// makeRoom evicts for a download, and at least short bytes: what cannot be removed
// is not its failure. What is left to do may be done in the background.
func (p *PersistLimit) makeRoom(ctx context.Context, short int64) error {
	_, err := p.tryMakeRoom(ctx, short)
	return err
}

// tryMakeRoom is makeRoom that says whether it is worth while to try again soon: who
// was faster may have taken what was evicted, and more can be.
func (p *PersistLimit) tryMakeRoom(ctx context.Context, short int64) (again bool, err error) {
	e, err := p.evict(ctx, passMode{short: short})
	p.warn(e)
	if e == nil {
		return false, err
	}
	if e.freed > 0 {
		p.nudge()
	}
	return e.deferred || !e.stuck, err
}

// warn logs what went wrong in a pass.
func (p *PersistLimit) warn(e *pass) {
	if e == nil {
		return
	}
	for _, failure := range e.errs {
		p.cfg.logger.Warn("cannot remove an old file", "error", failure)
	}
}

// sweep takes off what processes have reserved that have died.
func (p *PersistLimit) sweep() {
	if !p.enabled() {
		return
	}
	for _, s := range p.commonShelves() {
		s.sweep()
	}
}

func (p *PersistLimit) commonShelves() (all []commonShelf) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.common {
		all = append(all, d.common...)
	}
	return all
}

// noteAged notes that no file is too old now.
func (e *pass) noteAged() {
	if !e.mode.aged {
		return
	}
	for _, s := range e.p.commonShelves() {
		s.noteAged(time.Now())
	}
}

// step deals with one candidate and reports whether there was one.
func (e *pass) step() bool {
	v, ok := e.pick()
	if !ok {
		return false
	}
	size, used, err := v.shelf.stat(v.file.name)
	if !e.confirm(v, accounted(size), nanos(used), v.wrap(err)) {
		return true
	}
	err = v.shelf.remove(v.file.name)
	if err == nil {
		e.freed += v.size
		e.short -= v.size
	}
	if err == nil && !v.file.spare {
		e.removed = append(e.removed, removedFrom{v.shelf, Removed{
			Path: v.shelf.path(v.file.name), Size: v.size, LastUse: time.Unix(0, v.used),
		}})
	}
	e.settle(v, v.wrap(err))
	return true
}

func (v victim) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("evict %s: %w", v.shelf.path(v.file.name), err)
}

// pick takes the next candidate in hand: the oldest of the files larger than
// the whole limit, which nothing else can make fit, else the oldest of all.
func (e *pass) pick() (victim, bool) {
	p := e.p
	p.mu.Lock()
	defer p.unlock()
	f := e.next()
	if f == nil {
		e.stuck = p.crowded()
		e.noteExceeded()
		return victim{}, false
	}
	f.busy = true
	p.rank.unlist(f)
	p.inUse = f.dir.shelves[0]
	return victim{f, p.inUse, f.size, f.used, f.version}, true
}

// next returns the candidate whose turn it is: of each kind the oldest, unless it
// may stay.
func (e *pass) next() *limitFile {
	r := &e.p.rank
	for _, h := range [...]*useHeap{&r.huge, &r.spare, &r.oldest} {
		f := h.first()
		if f != nil && (e.mode.noGrace || !e.p.inGrace(f, e.now)) && e.wants(f) {
			return f
		}
	}
	return nil
}

// wants reports whether there is a reason to evict f. In the background nothing
// goes that would leave less than the low-water mark: a cache of a few large
// files stays as full as it may be.
func (e *pass) wants(f *limitFile) bool {
	p := e.p
	switch {
	case !p.on:
		return false
	case f.size > p.limit && p.over(), p.crowded(), e.short > 0:
		return true
	case e.mode.aged && !f.spare && time.Duration(e.now-f.used) > p.cfg.maxAge:
		return true
	}
	return e.mode.low && p.ordinary()-f.size >= p.low()
}

// noteExceeded collects who is to be told that nobody is left to evict.
func (e *pass) noteExceeded() {
	if usage, telling := e.p.noteExceeded(); telling != nil {
		e.usage, e.telling = usage, telling
	}
}

// confirm takes in what stat said of the candidate, and reports whether it is
// to be removed. If not, it is out of hand again.
func (e *pass) confirm(v victim, size, used int64, err error) bool {
	p, f := e.p, v.file
	p.mu.Lock()
	defer p.unlock()
	switch {
	case f.gone: // forgotten meanwhile
	case f.version != v.version || f.used != v.used: // used or landed meanwhile
	case errors.Is(err, os.ErrNotExist): // somebody else removed it
		p.drop(f)
	case err != nil:
		e.fail(f, err)
	case (size != v.size || used > v.used) && e.mayBeSaved():
		p.update(f, size, used)
	case f.held || !e.wants(f):
	default:
		p.removing = f
		return true
	}
	p.putBack(f)
	return false
}

// mayBeSaved bounds how often a fresher time or another size saves a candidate
// in one pass: on average once a file. On a file system whose access times are
// always now, the pass would not end otherwise.
func (e *pass) mayBeSaved() bool {
	e.saved++
	return e.saved <= e.p.files
}

// settle takes in what remove said.
func (e *pass) settle(v victim, err error) {
	p, f := e.p, v.file
	p.mu.Lock()
	now := f.dir.files.get(f.name)
	changed := now != nil && (now != f || f.version != v.version)
	switch {
	case f.gone || changed:
	case err == nil || errors.Is(err, os.ErrNotExist):
		p.drop(f)
	case errors.Is(err, fs.ErrLeased):
		f.leased = true
		p.leased = append(p.leased, f)
	default:
		e.fail(f, err)
	}
	if changed {
		// It was registered again while it was being removed. Only the
		// disk knows whether the new one came before or after that.
		p.recheck(f.dir, f.name)
	}
	p.putBack(f)
	p.unlock()
}

// putBack ends the work on f.
func (p *PersistLimit) putBack(f *limitFile) {
	f.busy = false
	p.rank.list(f)
	p.removing, p.inUse = nil, nil
	p.idle.Broadcast()
}

// fail keeps f out of the candidates until the failed ones are tried again.
func (e *pass) fail(f *limitFile, err error) {
	f.failed = true
	e.p.failed = append(e.p.failed, f)
	e.errs = append(e.errs, err)
}

// requeueFailed makes candidates again of the files that could not be removed,
// if their time has come.
func (e *pass) requeueFailed(always bool) {
	p := e.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if always || elapsed(p.leasedAt, e.now) >= retryLeased {
		p.leasedAt = e.now
		for _, f := range p.leased {
			f.leased = false
			p.rank.list(f)
		}
		p.leased = nil
	}
	if always || elapsed(p.failedAt, e.now) >= retryFailed {
		p.failedAt = e.now
		for _, f := range p.failed {
			f.failed = false
			p.rank.list(f)
		}
		p.failed = nil
	}
}

// elapsed is how much later one of two times in Unix nanoseconds is. A clock that
// was set back is no reason to wait.
func elapsed(from, to int64) time.Duration {
	if to < from {
		return 1<<63 - 1
	}
	return time.Duration(to - from)
}

// recount looks at every file again, if the limit seems to be exceeded.
func (e *pass) recount() {
	p := e.p
	p.mu.Lock()
	defer p.unlock()
	if !p.on || !p.over() {
		return
	}
	all := make([]*limitFile, 0, p.files)
	for _, slots := range [][]useSlot{p.rank.newest.slots, p.rank.latest.slots} {
		for _, s := range slots {
			all = append(all, s.file)
		}
	}
	for _, f := range all {
		p.recheck(f.dir, f.name)
	}
}

// recheck brings the accounts of one name in line with the disk. It is called
// under mu, which it gives up for the look at the disk; a file that changes
// meanwhile is looked at again. A file that cannot be looked at stays as it is.
func (p *PersistLimit) recheck(d *limitDir, name string) {
	for {
		f := d.files.get(name)
		if f == nil {
			return
		}
		s, version := d.shelves[0], f.version
		p.inUse = s
		p.mu.Unlock()
		size, used, err := s.stat(name)
		p.mu.Lock()
		p.inUse = nil
		p.idle.Broadcast()
		if d.files.get(name) != f || f.version != version {
			continue
		}
		switch {
		case err == nil:
			p.update(f, accounted(size), nanos(used))
		case errors.Is(err, os.ErrNotExist):
			p.drop(f)
		}
		return
	}
}
