package batch

import (
	"context"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
)

// taker takes the items of a flight's sequence and begins them, each when there is
// room for it. It is one goroutine, and a second one as long as all files are there:
// to look for them is all the work then.
type taker[T any] struct {
	f    *flight[T]
	mu   sync.Mutex // guards next, and keeps the items in order
	next func() (Item[T], bool)
	row  atomic.Int64 // files that were there, one after the other
	help sync.WaitGroup
	over atomic.Bool // the second goroutine has come to its end, or there is none
}

// longRow is how many files in a row have to be there before two goroutines look: so
// a miss is begun before the next item is taken, but for the first one after a row.
const longRow = 16

// taken is an item that was taken.
type taken[T any] struct {
	n    uint64
	item Item[T]
	name string
	err  error // why it has none
}

func newTaker[T any](f *flight[T]) *taker[T] {
	t := &taker[T]{f: f}
	t.over.Store(runtime.GOMAXPROCS(0) > 1)
	return t
}

// run takes all items.
func (t *taker[T]) run(items iter.Seq[Item[T]]) {
	next, stop := iter.Pull(items)
	t.next = next
	defer t.f.line.end()
	defer t.guard()
	defer stop()
	defer t.help.Wait()
	defer t.guard() // before the other one is waited for, which takes no more then
	for t.step() {
		if t.row.Load() >= longRow && t.over.CompareAndSwap(true, false) {
			t.help.Go(t.second)
		}
	}
}

// second is the second goroutine.
func (t *taker[T]) second() {
	defer t.over.Store(true)
	defer t.guard()
	for t.row.Load() >= longRow && t.step() {
	}
}

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

// step takes an item and begins it. It is false when none may be taken any more.
func (t *taker[T]) step() bool {
	one, ok := t.take()
	if !ok {
		return false
	}
	if t.begin(&one) {
		t.row.Add(1)
	} else {
		t.row.Store(0)
	}
	return true
}

// take waits until there is room for another item and takes it.
func (t *taker[T]) take() (one taken[T], ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.mayTake() {
		return one, false
	}
	if one.item, ok = t.next(); !ok {
		return one, false
	}
	one.name, one.err = t.f.name(&one.item.Link)
	one.n = t.f.line.take()
	return one, true
}

// mayTake waits until another item may be taken, or none any more.
func (t *taker[T]) mayTake() bool {
	return t.f.line.awaitRoom() && t.f.m.WaitForPlace(t.f.taking) == nil
}

// begin asks for the item's file and reports whether it is there. Here, and not in a
// goroutine of the item's own: first come, first served, and the place it takes is
// taken before the next one is waited for.
func (t *taker[T]) begin(one *taken[T]) (there bool) {
	f := t.f
	switch {
	case f.taking.Err() != nil:
		f.line.finish(one.n, &Outcome[T]{Item: one.item, Err: context.Cause(f.taking)})
		return false
	case one.err != nil:
		f.line.finish(one.n, &Outcome[T]{Item: one.item, State: Failed, Err: one.err})
		return false
	}
	d := f.download(&one.item.Link, one.name)
	if f.cfg.then != nil || d.IsRunning() {
		f.follow(one.n, one.item, d)
		return false
	}
	f.finish(one.n, one.item, d)
	return true
}
