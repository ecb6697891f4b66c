package fs

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/internal/journal"
)

// compactPause is how long nobody tries to write the journal anew after it was
// tried: should it fail, for want of space say, not every download is to pay for
// another try.
const compactPause = time.Minute

// tidy writes the journal anew if most of it may be out of date.
func (e *entries) tidy(ctx context.Context) error {
	if !e.log.IsDue() {
		return nil
	}
	return e.compact(ctx)
}

// compact writes the journal anew with one record a file. Nobody waits for that
// but who asked: others look up and append meanwhile.
func (e *entries) compact(ctx context.Context) error {
	now := time.Now().UnixNano()
	if last := e.compacted.Load(); last != 0 && time.Duration(now-last).Abs() < compactPause {
		return nil
	}
	if !e.compacting.CompareAndSwap(false, true) {
		return nil
	}
	defer e.compacting.Store(false)
	e.compacted.Store(now)
	err := e.log.Compact(ctx, journal.Host{Lock: lockIfAny, Create: e.successor}, e.sieve)
	if errors.Is(err, journal.ErrBusy) {
		return nil
	}
	if err != nil {
		return err
	}
	return e.saveAnew(ctx)
}

// saveAnew writes the table of a journal that was just written anew.
func (e *entries) saveAnew(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reread() // in memory nothing tells the new file from the old one
	if err := e.catchUp(ctx); err != nil {
		return err
	}
	e.save(ctx)
	return nil
}

// sieve reads the journal to its end and returns what tells which records are to
// stay: those that the index leads to. What comes later stays in any case, and all
// does if another journal is read meanwhile, of which the index says nothing here.
func (e *entries) sieve(ctx context.Context) (keep func([]byte, int64) bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.whole(ctx); err != nil {
		return nil, err
	}
	turn, end := e.turn, e.reader.End()
	return func(payload []byte, at int64) bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.turn != turn || at >= end {
			return true
		}
		kind, name, _ := peekRecord(payload)
		known, ok := e.index.get(e.index.hash(name))
		return kind == landed && ok && known.at == at
	}, nil
}

// lockIfAny is tryLock where there are locks, and agrees where there are none: two
// who write the journal anew at once cost entries there.
func lockIfAny(f afero.File) (bool, error) {
	locked, err := tryLock(f)
	if errors.Is(err, errNoLocks) {
		return true, nil
	}
	return locked, err
}

// successor makes the file that is going to be the journal.
func (e *entries) successor() (journal.Pending, error) {
	p, err := ownSpot(e.fsys, entryFile).CreateApart(0o666)
	if err != nil {
		return nil, err
	}
	return pendingJournal{p}, nil
}

type pendingJournal struct{ p *Partial }

func (j pendingJournal) WriteAt(b []byte, off int64) (int, error) { return j.p.WriteAt(b, off) }

func (j pendingJournal) Commit() error { return j.p.Commit(SyncNone) }

func (j pendingJournal) Cancel() { _ = j.p.Cancel() } // or the next sweep removes it
