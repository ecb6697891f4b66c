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
	// inLaneFor is the same for files that are found, should no more come: usually that
	// many take less than a millisecond, and a timer that goes off more often costs more
	// than it saves. Twice as long is the most.
	inLaneFor = 20 * time.Millisecond
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
	wake     alarm        // who gives out
	look     alarm        // into the lanes
	taken    uint64       // items so far
	hand     int          // taken and not given out
	next     uint64       // ordered: the first that is not ready
	finished map[uint64]E // ordered: before their turn
	ready    []E
	lanes    []*lane[E]
	urgent   bool   // one that is finished and not given out is
	urgentTo uint64 // the number behind the last that was
	group    []E    // that is given out
	left     int    // of it, not given out yet
	full     bool   // who takes waits for room
	ended    bool   // nothing more is taken
	stopped  bool   // nothing more is to be taken
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

// finish takes what the item with the number has come to. Who gives out may have to act
// on one that is urgent: it waits for no other, but for those before it where there is an
// order.
func (c *collector[E]) finish(n uint64, e E, urgent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if urgent {
		c.urgent, c.urgentTo = true, max(c.urgentTo, n+1)
	}
	if c.ordered {
		c.finished[n] = e
		c.inOrder()
	} else {
		c.ready = append(c.ready, e)
	}
	c.call()
}

// lane is what one goroutine has finished and nobody has taken over yet. It is a line of
// its own, so that goroutines which finish many at a time do not wait for each other.
type lane[E any] struct {
	mu    sync.Mutex // guards items and since; the collector's may be held, and is not taken under it
	items []E
	since time.Time // when the first of them came
}

// age returns how long the first one has been there; false: there is none.
func (l *lane[E]) age(now time.Time) (age time.Duration, some bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Sub(l.since), len(l.items) > 0
}

// lane makes a lane for a goroutine that is going to [collector.put].
func (c *collector[E]) lane() *lane[E] {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &lane[E]{items: make([]E, 0, c.together)}
	c.lanes = append(c.lanes, l)
	return l
}

// put is finish for what comes in quick succession and is not urgent. Should that end, it
// waits in the lane for a while.
func (c *collector[E]) put(l *lane[E], n uint64, e E) {
	if c.ordered {
		c.finish(n, e, false)
		return
	}
	l.mu.Lock()
	if len(l.items) == 0 {
		l.since = time.Now()
	}
	l.items = append(l.items, e)
	have := len(l.items)
	l.mu.Unlock()
	switch have {
	case c.together:
		c.empty(l)
	case 1:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.look.after(inLaneFor, c.lookIntoLanes)
	}
}

// empty takes over what is in a lane.
func (c *collector[E]) empty(l *lane[E]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.takeOver(l)
	c.call()
}

func (c *collector[E]) takeOver(l *lane[E]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.ready = append(c.ready, l.items...)
	clear(l.items) // or the array keeps them
	l.items = l.items[:0]
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
func (c *collector[E]) call() {
	switch {
	case len(c.ready) == 0:
	case c.urgent, len(c.ready) >= c.together, c.full, c.ended:
		c.come.Signal()
	default:
		c.wake.after(togetherFor, c.wakeUp)
	}
}

func (c *collector[E]) wakeUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake.set = false
	c.come.Signal()
}

// lookIntoLanes takes over what came into a lane a while ago. One that is filled quickly
// it leaves alone.
func (c *collector[E]) lookIntoLanes() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look.set = false
	now := time.Now()
	for _, l := range c.lanes {
		switch age, some := l.age(now); {
		case !some:
		case age >= inLaneFor:
			c.takeOver(l)
		default:
			c.look.after(inLaneFor, c.lookIntoLanes)
		}
	}
	if len(c.ready) > 0 {
		c.come.Signal()
	}
}

// alarm is a timer that goes off once for all who have set it.
type alarm struct {
	timer *time.Timer // nil before it is needed
	set   bool        // it is going to go off
}

// after makes it call fn, the same each time, unless it is set.
func (a *alarm) after(d time.Duration, fn func()) {
	switch {
	case a.set:
		return
	case a.timer == nil:
		a.timer = time.AfterFunc(d, fn)
	default:
		a.timer.Reset(d)
	}
	a.set = true
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
	c.urgent = c.ordered && c.urgentTo > c.next // it is before its turn
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
