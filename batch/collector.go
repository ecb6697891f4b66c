package batch

import "sync"

// slack is how many outcomes may wait for the loop's body before no more is taken:
// enough that a quick body does not keep the network waiting.
const slack = 8

// collector brings outcomes from those who fetch to the one who asks. Of n items
// taken, each is finished once and popped once.
type collector[T any] struct {
	ordered bool
	window  int

	mu       sync.Mutex // guards all below
	changed  sync.Cond
	taken    uint64                // items so far
	hand     int                   // taken and not popped
	next     uint64                // ordered: the first that is not ready
	finished map[uint64]Outcome[T] // ordered: before their turn
	ready    []Outcome[T]
	ended    bool // nothing more is taken
	stopped  bool // nothing more is to be taken
}

func newCollector[T any](ordered bool, window int) *collector[T] {
	c := &collector[T]{ordered: ordered, window: window, finished: map[uint64]Outcome[T]{}}
	c.changed.L = &c.mu
	return c
}

// awaitRoom waits until another item may be taken. It is false when none may.
func (c *collector[T]) awaitRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.stopped && (c.hand >= c.window || len(c.ready) >= slack) {
		c.changed.Wait()
	}
	return !c.stopped
}

// take gives an item its number.
func (c *collector[T]) take() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.taken
	c.taken++
	c.hand++
	return n
}

// finish takes the outcome of the item with the number.
func (c *collector[T]) finish(n uint64, o Outcome[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ordered {
		c.ready = append(c.ready, o)
		c.changed.Broadcast()
		return
	}
	c.finished[n] = o
	for {
		o, ok := c.finished[c.next]
		if !ok {
			break
		}
		delete(c.finished, c.next)
		c.next++
		c.ready = append(c.ready, o)
	}
	c.changed.Broadcast()
}

// pop waits for the next outcome. It is false when there is none to come.
func (c *collector[T]) pop() (o Outcome[T], ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.ready) == 0 {
		if c.ended && c.hand == 0 {
			return o, false
		}
		c.changed.Wait()
	}
	o = c.ready[0]
	c.ready[0] = Outcome[T]{} // or the array keeps it
	c.ready = c.ready[1:]
	c.hand--
	c.changed.Broadcast()
	return o, true
}

// stop lets nothing more be taken.
func (c *collector[T]) stop() { c.set(&c.stopped) }

// end says that nothing more is taken.
func (c *collector[T]) end() { c.set(&c.ended) }

func (c *collector[T]) set(flag *bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*flag = true
	c.changed.Broadcast()
}
