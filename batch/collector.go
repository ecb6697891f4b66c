package batch

import (
	"sync"
	"time"
)

const (
	// slack is how many outcomes may wait for the loop's body before no more is taken:
	// enough that a quick body does not keep the network waiting. For who may stop at
	// any of them it is littleSlack: what is behind that one has been done for nothing.
	slack       = 256
	littleSlack = 8
	// together is how many outcomes are given out together, and togetherFor how long
	// the first of them waits for the others, while more is under way: to wake the loop
	// costs as much as to find a file. With small files from near by, some fifty come
	// in that time. What failed waits for nothing: who learns that the disk is full
	// stops before the next files fail of it.
	together    = 64
	togetherFor = 3 * time.Millisecond
)

// collector brings what ended, an E for each item, from those who fetch to the one who
// asks. Of n items taken, each is finished once and given out once.
type collector[E any] struct {
	ordered  bool
	window   int
	slack    int
	together int

	mu       sync.Mutex   // guards all below
	room     sync.Cond    // for who takes
	come     sync.Cond    // for who gives out
	timer    *time.Timer  // nil before it is needed
	armed    bool         // timer is going to fire
	taken    uint64       // items so far
	hand     int          // taken and not given out
	next     uint64       // ordered: the first that is not ready
	finished map[uint64]E // ordered: before their turn
	ready    []E
	group    []E  // that is given out
	left     int  // of it, not given out yet
	full     bool // who takes waits for room
	ended    bool // nothing more is taken
	stopped  bool // nothing more is to be taken
}

func newCollector[E any](ordered bool, cfg *config) *collector[E] {
	c := &collector[E]{
		ordered: ordered, window: cfg.window, slack: slack, together: together,
		finished: map[uint64]E{},
	}
	if cfg.atOnce {
		c.slack, c.together = littleSlack, 1
	}
	c.room.L, c.come.L = &c.mu, &c.mu
	return c
}

// awaitRoom waits until another item may be taken, and returns how many may. 0: none
// any more.
func (c *collector[E]) awaitRoom() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.stopped && (c.hand >= c.window || len(c.ready)+c.left >= c.slack) {
		c.full = true
		c.come.Signal()
		c.room.Wait()
	}
	c.full = false
	if c.stopped {
		return 0
	}
	return min(c.window-c.hand, c.slack-len(c.ready)-c.left)
}

// take gives items their numbers, and returns the first of them.
func (c *collector[E]) take(items int) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.taken
	c.taken += uint64(items)
	c.hand += items
	return n
}

// finish takes what items have come to, with their numbers one after the other from n
// on. Who gives out may have to act on one that is urgent: it waits for no other.
func (c *collector[E]) finish(n uint64, urgent bool, all ...E) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ordered {
		for i := range all {
			c.finished[n+uint64(i)] = all[i]
		}
		c.inOrder()
	} else {
		c.ready = append(c.ready, all...)
	}
	c.call(urgent)
}

// inOrder makes those ready whose turn it is.
func (c *collector[E]) inOrder() {
	for {
		e, ok := c.finished[c.next]
		if !ok {
			return
		}
		delete(c.finished, c.next)
		c.next++
		c.ready = append(c.ready, e)
	}
}

// call wakes who gives out, at once or when there may be more.
func (c *collector[E]) call(urgent bool) {
	switch {
	case len(c.ready) == 0:
	case urgent, len(c.ready) >= c.together, c.full, c.ended:
		c.come.Signal()
	case c.armed:
	case c.timer == nil:
		c.armed = true
		c.timer = time.AfterFunc(togetherFor, c.fire)
	default:
		c.armed = true
		c.timer.Reset(togetherFor)
	}
}

// fire is what the timer calls.
func (c *collector[E]) fire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = false
	c.come.Signal()
}

// pop waits for outcomes and returns all that are ready, which are valid until the
// next call. There are none when none are to come.
func (c *collector[E]) pop() []E {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.group) // or the array keeps them
	for len(c.ready) == 0 {
		if c.ended && c.hand == 0 {
			return nil
		}
		c.come.Wait()
	}
	c.group, c.ready = c.ready, c.group[:0]
	c.left = len(c.group)
	return c.group
}

// give is told that n more of the group are given out.
func (c *collector[E]) give(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hand -= n
	c.left -= n
	if c.left == 0 || c.hand+n >= c.window {
		c.room.Signal()
	}
}

// stop lets nothing more be taken.
func (c *collector[E]) stop() { c.set(&c.stopped) }

// end says that nothing more is taken.
func (c *collector[E]) end() { c.set(&c.ended) }

func (c *collector[E]) set(flag *bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*flag = true
	c.room.Broadcast()
	c.come.Broadcast()
}
