package batch

import (
	"context"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/dlmanager/dlmanager"
)

// supply is where a flight's items come from. next appends the next one, for which it
// waits, and those behind it that are there already, as long as there are fewer than
// most. Nothing appended: there are none any more. stop is called in the end.
type supply[T any] struct {
	next func(to []Item[T], most int) []Item[T]
	stop func()
}

// pulled supplies a sequence's items, one at a time: its next one may wait for the
// outcome of this one.
func pulled[T any](items iter.Seq[Item[T]]) supply[T] {
	next, stop := iter.Pull(items)
	return supply[T]{stop: stop, next: func(to []Item[T], _ int) []Item[T] {
		if item, ok := next(); ok {
			to = append(to, item)
		}
		return to
	}}
}

// taker takes the items of a flight and begins them, each when there is room for it.
// It is one goroutine, and a second one as long as all files are there: to look for
// them is all the work then.
type taker[T any] struct {
	f     *flight[T]
	mu    sync.Mutex // guards from and items, and keeps the items in order
	from  supply[T]
	items []Item[T]    // that are being taken
	row   atomic.Int64 // files that were there, one after the other
	help  sync.WaitGroup
	over  atomic.Bool // the second goroutine has come to its end, or there is none
}

const (
	// longRow is how many files in a row have to be there before two goroutines look,
	// and take several items at once: so a miss is begun before the next item is taken,
	// but for the first ones after a row. And after so many in a row that are not there,
	// nobody looks before.
	longRow = 16
	// atOnceTaken is how many items a goroutine takes then. To wait for the other one
	// at each would cost more than to look.
	atOnceTaken = 64
)

// taken is an item that was taken.
type taken[T any] struct {
	n    uint64
	item Item[T]
	name string
	err  error // why it has none
}

func newTaker[T any](f *flight[T], from supply[T]) *taker[T] {
	t := &taker[T]{f: f, from: from}
	t.over.Store(runtime.GOMAXPROCS(0) > 1)
	return t
}

// run takes all items.
func (t *taker[T]) run() {
	defer t.f.line.end()
	defer t.guard()
	defer t.from.stop()
	defer t.help.Wait()
	defer t.guard() // before the other one is waited for, which takes no more then
	var h hand[T]
	for t.step(&h) {
		if t.inRow() && t.over.CompareAndSwap(true, false) {
			t.help.Go(t.second)
		}
	}
}

// second is the second goroutine.
func (t *taker[T]) second() {
	defer t.over.Store(true)
	defer t.guard()
	var h hand[T]
	for t.inRow() && t.step(&h) {
	}
}

// inRow reports whether all files are there, as far as can be told.
func (t *taker[T]) inRow() bool { return t.row.Load() >= longRow }

// guard keeps what the sequence panics with for who asks for the outcomes, and takes
// no more.
func (t *taker[T]) guard() {
	v := recover()
	if v == nil {
		return
	}
	t.mu.Lock()
	t.f.panicked = v
	t.mu.Unlock()
	t.f.line.stop()
}

// step takes items and begins them. It is false when none may be taken any more. What
// is taken stands in h, whose arrays are used again.
func (t *taker[T]) step(h *hand[T]) bool {
	defer func() { clear(h.taken) }() // or the array keeps them
	h.taken = t.take(h.taken[:0])
	for i := range h.taken {
		if i > 0 && !h.there {
			_ = t.f.m.WaitForPlace(t.f.taking) // why there is none shows when it is begun
		}
		t.begin(h, &h.taken[i])
		if h.there {
			t.row.Add(1)
		} else {
			t.row.Store(0)
		}
	}
	h.give(t.f)
	return len(h.taken) > 0
}

// hand is what one goroutine has taken.
type hand[T any] struct {
	taken []taken[T]
	there bool       // the one that was begun last is
	ended []ended[T] // those that are there and were not given to the line yet
	first uint64     // the number of the first of them
}

// end adds one that is there. One after the other they are given to the line together,
// which saves the wait for it, before anything else is waited for.
func (h *hand[T]) end(n uint64, e ended[T]) {
	if len(h.ended) == 0 {
		h.first = n
	}
	h.ended = append(h.ended, e)
}

// give gives those that are there to the line.
func (h *hand[T]) give(f *flight[T]) {
	if len(h.ended) == 0 {
		return
	}
	f.line.finish(h.first, false, h.ended...)
	clear(h.ended) // or the array keeps them
	h.ended = h.ended[:0]
}

// take waits until there is room for another item, and takes it and, in a long row,
// those behind it.
func (t *taker[T]) take(to []taken[T]) []taken[T] {
	t.mu.Lock()
	defer t.mu.Unlock()
	room := t.f.line.awaitRoom()
	if room == 0 || t.f.m.WaitForPlace(t.f.taking) != nil {
		return to
	}
	most := 1
	if t.inRow() && !t.f.cfg.atOnce {
		most = min(room, atOnceTaken)
	}
	defer func() { clear(t.items) }()
	t.items = t.from.next(t.items[:0], most)
	for i := range t.items {
		name, err := t.f.name(&t.items[i].Link)
		to = append(to, taken[T]{item: t.items[i], name: name, err: err})
	}
	n := t.f.line.take(len(to)) // no sooner: the naming may panic
	for i := range to {
		to[i].n = n + uint64(i)
	}
	return to
}

// begin asks for the item's file. Here, and not in a goroutine of the item's own: first
// come, first served, and the place it takes is taken before the next one is waited for.
func (t *taker[T]) begin(h *hand[T], one *taken[T]) {
	f := t.f
	h.there = false
	switch {
	case f.taking.Err() != nil:
		h.give(f)
		f.end(one.n, ended[T]{outcome: &Outcome[T]{Item: one.item, Err: context.Cause(f.taking)}})
		return
	case one.err != nil:
		h.give(f)
		f.end(one.n, ended[T]{outcome: &Outcome[T]{Item: one.item, State: Failed, Err: one.err}})
		return
	}
	t.begun(h, one, f.download(&one.item.Link, one.name))
}

// begun is told of the item's download, which may be over.
func (t *taker[T]) begun(h *hand[T], one *taken[T], d *dlmanager.Download) {
	f := t.f
	if f.cfg.then != nil || d.IsRunning() {
		h.give(f)
		f.follow(one.n, one.item, d)
		return
	}
	if err := d.Wait(); err != nil { // which waits for its finished hook
		h.give(f)
		f.end(one.n, ended[T]{item: one.item, download: d})
		return
	}
	h.there = true
	h.end(one.n, ended[T]{item: one.item, download: d})
}
