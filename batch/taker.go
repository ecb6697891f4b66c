package batch

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
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
	over  atomic.Bool        // the second goroutine has come to its end, or there is none
	lanes [2]*lane[ended[T]] // for what they find
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
	t := &taker[T]{f: f, from: from, lanes: [2]*lane[ended[T]]{f.line.lane(), f.line.lane()}}
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
	var all []taken[T]
	for t.step(&all, t.lanes[0]) {
		if t.inRow() && t.over.CompareAndSwap(true, false) {
			t.help.Go(t.second)
		}
	}
}

// second is the second goroutine.
func (t *taker[T]) second() {
	defer t.over.Store(true)
	defer t.guard()
	var all []taken[T]
	for t.inRow() && t.step(&all, t.lanes[1]) {
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
// is taken stands in all, whose array is used again.
func (t *taker[T]) step(all *[]taken[T], there *lane[ended[T]]) bool {
	*all = t.take((*all)[:0])
	left := *all
	defer func() {
		t.give(left)
		clear(*all) // or the array keeps them
	}()
	took := false // the one before has its place, or may have
	for len(left) > 0 {
		if took {
			_ = t.f.m.WaitForPlace(t.f.taking) // why there is none shows when it is begun
		}
		took = !t.begin(&left[0], there)
		left = left[1:]
		if took {
			t.row.Store(0)
		} else {
			t.row.Add(1)
		}
	}
	t.f.line.empty(there)
	return len(*all) > 0
}

// errBroken is the outcome of what was taken when a function that was called ended the
// goroutine.
var errBroken = errors.New("a callback ended the goroutine that begins the downloads")

// give gives out what was taken and could not be begun: else the loop would wait for it.
func (t *taker[T]) give(left []taken[T]) {
	for i := range left {
		t.f.end(left[i].n, ended[T]{outcome: &Outcome[T]{Item: left[i].item, Err: errBroken}})
	}
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

// begin asks for the item's file and reports whether it is there. Here, and not in a
// goroutine of the item's own: first come, first served, and the place it takes is
// taken before the next one is waited for.
func (t *taker[T]) begin(one *taken[T], there *lane[ended[T]]) bool {
	f := t.f
	switch {
	case f.taking.Err() != nil:
		f.end(one.n, ended[T]{outcome: &Outcome[T]{Item: one.item, Err: context.Cause(f.taking)}})
		return false
	case one.err != nil:
		f.end(one.n, ended[T]{outcome: &Outcome[T]{Item: one.item, State: Failed, Err: one.err}})
		return false
	}
	return f.begun(one, f.download(&one.item.Link, one.name), there)
}
