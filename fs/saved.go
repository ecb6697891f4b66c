package fs

import (
	"context"
	"errors"
)

// The index is saved beside the journal, as a table that holds up to some record.
// Who needs one entry looks into the table, unless the index knows better, which
// then holds only what came since; who needs all of them loads it.

// saveFrom is how much of the journal, in bytes, is read behind the table before
// it is written anew: three milliseconds' worth. A table costs 24 bytes for each
// file, so the longer the journal is the more has to have come.
const saveFrom = 1 << 20

func isSaveDue(end, saved int64) bool { return end-saved > saveFrom+saved/256 }

// adopt takes the table, if there is one of this journal. It needs mu.
func (e *entries) adopt() {
	if e.distrusted {
		return
	}
	t, err := openTable(e.fsys, tableFile)
	if err != nil {
		return
	}
	if !e.reader.Resume(t.mark) {
		_ = t.close() // read-only: nothing to lose
		return
	}
	e.saved, e.index = t, newIndex(t.salt)
	e.savedEnd = e.reader.End()
}

// find returns what is known of the name. It needs mu.
func (e *entries) find(name string) (indexed, bool, error) {
	h := e.index.hashOf(name)
	known, ok := e.index.get(h)
	if !ok && e.saved != nil {
		return e.saved.find(h)
	}
	return known, ok && !known.isGone(), nil
}

// whole reads what is new in the journal, and sees to it that the index knows of
// every entry. It needs mu.
func (e *entries) whole(ctx context.Context) error {
	if err := e.catchUp(ctx); err != nil || e.saved == nil {
		return err
	}
	x, err := e.saved.load()
	if err != nil {
		e.distrusted = true
		e.reread()
		return e.catchUp(ctx)
	}
	x.merge(e.index)
	e.index = x
	e.dropTable()
	return nil
}

func (e *entries) dropTable() {
	if e.saved != nil {
		_ = e.saved.close() // read-only: nothing to lose
		e.saved = nil
	}
}

// save writes the table anew if that is worth while for those who come later. It
// is no loss if it cannot be written. Two who do it at once both write a good one.
// It needs mu.
func (e *entries) save(ctx context.Context) {
	if !isSaveDue(e.reader.End(), e.savedEnd) || e.whole(ctx) != nil {
		return
	}
	e.savedEnd = e.reader.End() // also if it fails: not each look-up is to try it again
	if err := e.writeTable(); err == nil {
		e.distrusted = false
	}
}

func (e *entries) writeTable() error {
	mark, err := e.reader.Mark()
	if err != nil || e.index.n == 0 {
		return err
	}
	p, err := ownSpot(e.fsys, tableFile).CreateApart(0o666)
	if err != nil {
		return err
	}
	err = writeTable(p, mark, e.index)
	if err == nil {
		err = p.Commit(SyncNone)
	}
	return errors.Join(err, p.Cancel())
}
