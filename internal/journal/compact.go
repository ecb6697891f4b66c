package journal

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/afero"
)

// ErrBusy says that somebody else is writing the journal anew, or just has.
var ErrBusy = errors.New("somebody else writes the journal anew")

// Host is what writing a journal anew takes of the place where it lies.
type Host struct {
	// Lock takes a lock on the open file that ends when the file is closed or its
	// process dies, without waiting. It reports false if somebody else has it, and
	// true where there are no locks.
	Lock func(afero.File) (bool, error)
	// Create makes the file that is going to be the journal.
	Create func() (Pending, error)
}

// Pending is a file on its way. Cancel does nothing after Commit.
type Pending interface {
	io.WriterAt
	Commit() error // gives it the journal's name, in place of the old one
	Cancel()
}

// Keep says whether the record at an offset is to be kept.
type Keep = func(payload []byte, at int64) bool

// compaction is the work on one new journal.
type compaction struct {
	to  Pending
	buf []byte
	off int64 // where buf goes
	err error // the first one
}

// flushAt is how much is written at a time.
const flushAt = 256 << 10

// Compact writes the journal anew with the records that are to be kept. choose is
// called once nobody else replaces the journal, and what it returns with each
// record in turn and its offset. Only one process does this at a time; for the
// others it is ErrBusy. The others go on appending meanwhile, and what they
// append is in the new journal as well:
//
//   - what came before the new one gets the name is carried over afterwards, by us,
//     wanted or not: we look at the old one's end once more;
//   - who appends later finds that his file has lost its name, and appends again.
//
// So a record may be there twice, or behind one that came a moment after it. Should
// this process die between giving the name and carrying over, what came in that
// moment is lost.
func (l *Log) Compact(ctx context.Context, h Host, choose func(context.Context) (Keep, error)) error {
	old, err := openFile(l.fsys, l.name, os.O_RDWR)
	if err != nil {
		return err
	}
	defer old.close() // which ends the lock; nothing was written
	if locked, err := h.Lock(old.File); err != nil || !locked {
		return errors.Join(err, ErrBusy)
	}
	old.links = 0 // so that it looks at the name
	if _, current := old.isCurrent(l.fsys, l.name); !current {
		return ErrBusy
	}
	keep, err := choose(ctx)
	if err != nil {
		return err
	}
	p, err := h.Create()
	if err != nil {
		return err
	}
	defer p.Cancel()
	end, err := rewrite(ctx, old, p, keep)
	if err != nil {
		return err
	}
	if err := p.Commit(); err != nil {
		return err
	}
	return l.carry(old, end)
}

// rewrite writes what is to stay of the old journal, and returns up to where it
// read that.
func rewrite(ctx context.Context, old io.ReaderAt, to Pending, keep Keep) (end int64, err error) {
	c := &compaction{to: to, buf: appendBase(nil, 0)}
	end, _, err = Replay(ctx, old, 0, func(payload []byte, at int64) {
		if (len(payload) == 0 || payload[0] != ownPayload) && keep(payload, at) {
			c.add(payload)
		}
	})
	if err != nil {
		return 0, err
	}
	c.flush()
	if c.err == nil {
		_, c.err = to.WriteAt(appendBase(nil, c.off), 0)
	}
	return end, c.err
}

func (c *compaction) add(payload []byte) {
	c.buf, _ = AppendRecord(c.buf, payload) // it was in a record before
	if len(c.buf) >= flushAt {
		c.flush()
	}
}

func (c *compaction) flush() {
	if c.err != nil {
		return
	}
	var n int
	n, c.err = c.to.WriteAt(c.buf, c.off)
	c.off, c.buf = c.off+int64(n), c.buf[:0]
}

// carry appends what came to the old journal behind end.
func (l *Log) carry(old io.ReaderAt, end int64) error {
	failed := l.Close() // or the first one came to the old journal again
	_, _, err := Replay(context.Background(), old, end, func(payload []byte, _ int64) {
		if _, err := l.Append(payload); err != nil && failed == nil {
			failed = err
		}
	})
	return errors.Join(err, failed)
}
