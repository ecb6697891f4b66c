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

// passMode says how thorough a pass is.
type passMode struct {
	recount     bool // look at every file first
	retryFailed bool // try at once again what could not be removed before
}

// pass is one walk along the candidates: pick one, look at it, remove it, until
// the limit is kept or nobody is left. Only the holder of the turn runs one.
type pass struct {
	p       *PersistLimit
	now     int64
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
	for _, r := range e.removed {
		r.shelf.evicted(r.file)
	}
	for _, s := range e.telling {
		s.exceeded(e.usage)
	}
	return e, err
}

func (p *PersistLimit) runPass(ctx context.Context, mode passMode) (*pass, error) {
	defer func() { <-p.turn }()
	e := &pass{p: p, now: nanos(p.cfg.now())}
	if mode.recount {
		e.recount()
	}
	e.requeueFailed(mode.retryFailed)
	for {
		if ctx.Err() != nil {
			return e, context.Cause(ctx)
		}
		if !e.step() {
			return e, nil
		}
	}
}

// makeRoom evicts for a download: what cannot be removed is not its failure.
func (p *PersistLimit) makeRoom(ctx context.Context) error {
	e, err := p.evict(ctx, passMode{})
	if e == nil {
		return err
	}
	for _, failure := range e.errs {
		p.cfg.logger.Warn("cannot remove an old file", "error", failure)
	}
	return err
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
		e.noteExceeded()
		return victim{}, false
	}
	f.busy = true
	p.rank.unlist(f)
	p.inUse = f.dir.shelves[0]
	return victim{f, p.inUse, f.size, f.used, f.version}, true
}

func (e *pass) next() *limitFile {
	p := e.p
	if f := p.rank.huge.first(); f != nil && p.over() && !e.inGrace(f) {
		return f
	}
	if f := p.rank.oldest.first(); f != nil && p.crowded() && !e.inGrace(f) {
		return f
	}
	return nil
}

// inGrace reports whether f was used so lately that it stays. The heaps are
// ordered, so if their first file is in grace, the others are, or they lie in
// the future. Such a time is no reason to keep a file for ever.
func (e *pass) inGrace(f *limitFile) bool {
	age, grace := time.Duration(e.now-f.used), e.p.cfg.grace
	return -grace < age && age < grace
}

// noteExceeded collects who is to be told, once for each time that the limit
// comes to be exceeded, that nobody is left to evict.
func (e *pass) noteExceeded() {
	p := e.p
	if !p.over() || p.told {
		return
	}
	p.told = true
	e.usage = p.usage()
	for s, d := range p.dirs {
		if s != p.plain || len(d.files) > 0 {
			e.telling = append(e.telling, s)
		}
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
	case f.held || !e.needed(f):
	default:
		p.removing = f
		return true
	}
	p.putBack(f)
	return false
}

// needed reports whether the limit still asks for f.
func (e *pass) needed(f *limitFile) bool {
	return e.p.crowded() || f.size > e.p.limit && e.p.over()
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
	now := f.dir.files[f.name]
	changed := now != nil && (now != f || f.version != v.version)
	switch {
	case f.gone || changed:
	case err == nil || errors.Is(err, os.ErrNotExist):
		p.drop(f)
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

// fail keeps f out of the candidates until the failed ones are tried again. That
// somebody uses it is no failure.
func (e *pass) fail(f *limitFile, err error) {
	f.failed = true
	e.p.failed = append(e.p.failed, f)
	if !errors.Is(err, fs.ErrLeased) {
		e.errs = append(e.errs, err)
	}
}

// requeueFailed makes candidates again of the files that could not be removed,
// if their time has come.
func (e *pass) requeueFailed(always bool) {
	p := e.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if !always && e.now-p.failedAt < int64(retryFailed) {
		return
	}
	p.failedAt = e.now
	for _, f := range p.failed {
		f.failed = false
		p.rank.list(f)
	}
	p.failed = nil
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
		f := d.files[name]
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
		if d.files[name] != f || f.version != version {
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
