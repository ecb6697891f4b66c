package dlmanager

import (
	"slices"
	"time"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/transfer"
)

// The download is the sink of its transfer.
var _ transfer.Sink = (*life)(nil)

// Start is told by the transfer that bytes are about to come, from the offset
// at: 0 when the file begins, or begins anew.
func (l *life) Start(head transfer.Head, from transfer.Source, at int64) error {
	stored := l.fetched
	stored.Head, stored.From = head, from
	l.pieced = at > 0
	if at == 0 {
		stored = stored.WithRanges(nil)
		l.resumed = 0
	}
	if err := l.reserve(max(head.Total, at)); err != nil {
		return err
	}
	if err := l.prepare(stored); err != nil {
		return err
	}
	l.fetched, l.sender = stored, l.asks
	l.meter.start(at, head.Total, time.Now())
	return l.observers.notify(l.Download, at, head.Total)
}

// prepare makes the partial file ready for the rest of what is stored, its
// record first.
func (l *life) prepare(stored transfer.Result) error {
	size := l.wholeSize(stored.Head)
	if err := l.recorder.begin(stored, size, l.canGoOn(stored.Head)); err != nil {
		return err
	}
	if stored.N == 0 && l.size.Load() > 0 {
		if err := l.partial.Clear(); err != nil {
			return err
		}
		l.size.Store(0)
	}
	if stored.N == 0 && l.digests != nil {
		l.digests.Reset()
	}
	if size <= l.size.Load() {
		return nil
	}
	// What is stored already is not put at risk by a disk that is too full for the
	// blocks of the rest.
	err := l.partial.Extend(size, stored.N == 0)
	if err == nil {
		l.size.Store(size)
	}
	if !fs.IsFull(err) {
		return nil // some file systems cannot
	}
	return err
}

// wholeSize returns what the partial file's size is from the beginning, -1 if it
// grows with what is stored.
func (l *life) wholeSize(head transfer.Head) int64 {
	if head.Exact && head.Total >= recordFrom {
		return head.Total
	}
	return -1
}

// canGoOn reports whether another download may go on from what such an answer
// brings.
func (l *life) canGoOn(head transfer.Head) bool {
	return !l.cfg.noResume && (head.Resumable() || l.currentCheck() != nil)
}

// reserve makes room for n bytes in all.
func (l *life) reserve(n int64) (err error) {
	if l.room != nil {
		return l.room.grow(&l.ctx, n)
	}
	l.room, err = l.site.reserve(&l.ctx, l.Download, n)
	return err
}

// WriteAt stores what the transfer has received. Several connections may call it
// at once for a file of known size.
func (l *life) WriteAt(b []byte, off int64) (int, error) {
	if !l.fetched.Exact {
		if err := l.room.grow(&l.ctx, off+int64(len(b))); err != nil {
			return 0, err
		}
	}
	n, err := l.partial.WriteAt(b, off)
	for end, size := off+int64(n), l.size.Load(); end > size && !l.size.CompareAndSwap(size, end); size = l.size.Load() {
	}
	return n, err
}

// Stored is told by the transfer what is stored with the last n bytes.
func (l *life) Stored(stored *transfer.Result, n int) error {
	now := time.Now()
	l.meter.advance(int64(n), now)
	l.wire += int64(n)
	l.expiredOnce = false
	l.meter.connections.Store(int32(stored.Connections))
	l.shared = l.shared || stored.Connections > 1
	head := &l.fetched.Head
	l.fetched.N, l.fetched.CRC32C, l.fetched.Ranges = stored.N, stored.CRC32C, slices.Clone(stored.Ranges)
	l.recorder.advance(&l.fetched, now)
	if stored.N > head.Total && !head.Exact {
		head.Total = -1 // the hint was wrong
		l.meter.total.Store(-1)
	}
	return l.observers.notify(l.Download, stored.N, head.Total)
}
