package dlmanager

import (
	"container/heap"
	"context"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"
)

// queue decides who may run next: so many at once, so many of one host, at a
// pace that the host can stand. A host that has to wait holds up nobody else.
// Of those that may go, the one with the highest priority goes first, and of
// equals the one that came first.
//
// Every call costs O(log n) of those who wait; who waits for a host that may not
// go costs the others nothing.
type queue struct {
	perHost int           // of one host at once; 0 or less: no bound
	delay   time.Duration // between two of one host; 0 or less: none

	mu    sync.Mutex // guards all below
	timed bool       // hosts have to wait for their time, or had to: else nobody needs to know it
	free  int        // places that nobody has
	came  uint64     // tickets so far
	hosts map[string]*queueHost
	ready hostHeap      // may go: by their first ticket. Empty while there is a free place
	later hostHeap      // somebody waits for their time: by that time
	idle  hostHeap      // nobody is there, but their time is not over: by that time
	spare chan struct{} // closed when a place is free that nobody can take; nil: nobody waits for one
	timer *time.Timer
	due   time.Time // when the timer fires; zero: there is none
}

// ticket is one place in the queue, waited for or had.
type ticket struct {
	q        *queue
	host     *queueHost
	priority int
	number   uint64        // in the order of coming
	called   chan struct{} // closed when the place is there; nil: it was at once

	at      int  // where it stands in its host's heap; guarded by q.mu, as are those below
	granted bool // it has its place
	over    bool // given back, or given up
}

// newQueue returns a queue in which at most places have a place at once, at most
// perHost of them of one host, and delay lies between two of one host.
func newQueue(places, perHost int, delay time.Duration) *queue {
	return &queue{
		perHost: perHost, delay: delay, timed: delay > 0, free: places,
		hosts: map[string]*queueHost{},
		ready: hostHeap{less: func(a, b *queueHost) bool { return a.first().before(b.first()) }},
		later: hostHeap{less: soonerHost},
		idle:  hostHeap{less: soonerHost},
	}
}

// hostKey is what makes two URLs those of one host here: the name in lower case
// and the port, which is there also if it is the scheme's own.
func hostKey(u *url.URL) string {
	if u.Port() != "" {
		return strings.ToLower(u.Host)
	}
	port := "80"
	if strings.EqualFold(u.Scheme, "https") {
		port = "443"
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// enter joins the queue. It does not wait.
func (q *queue) enter(host string, priority int) *ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	h := q.host(host)
	t := &ticket{q: q, host: h, priority: priority, number: q.came}
	q.came++
	if q.free > 0 && q.later.Len() == 0 && h.waiting.Len() == 0 && q.admits(h, now) {
		q.grant(h, t, now) // there is nobody who could go before it
		return t
	}
	heap.Push(&h.waiting, t)
	q.settle(h, now)
	q.letIn(now)
	if !t.granted {
		t.called = make(chan struct{})
	}
	return t
}

// isGranted reports whether the place was there at once.
func (t *ticket) isGranted() bool { return t.called == nil }

// wait waits for the place and reports whether it had to. When ctx ends, the
// ticket is given up.
func (t *ticket) wait(ctx context.Context) (waited bool, err error) {
	if ctx.Err() != nil {
		t.leave()
		return false, context.Cause(ctx)
	}
	if t.called == nil {
		return false, nil
	}
	select {
	case <-t.called:
		return false, nil
	default:
	}
	select {
	case <-t.called:
		return true, nil
	case <-ctx.Done():
		t.leave()
		return true, context.Cause(ctx)
	}
}

// leave gives the place back, or up, and lets the next one in. A second call
// does nothing.
func (t *ticket) leave() {
	q := t.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.over {
		return
	}
	t.over = true
	if t.granted {
		q.free++
		t.host.running--
	} else {
		heap.Remove(&t.host.waiting, t.at)
	}
	now := q.now()
	q.settle(t.host, now)
	q.letIn(now)
}

// connect takes one of the host's places for another connection of a ticket that
// has its place, if nobody waits for the host. It waits for nothing, and nobody
// waits for it: a ticket that comes later does not count such connections, and
// makes the host crowded if there are too many then.
func (q *queue) connect(host string) (release func(), ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	h := q.host(host)
	free := h.waiting.Len() == 0 && !h.until.After(now) && (q.perHost <= 0 || h.running+h.extra < q.perHost)
	if free {
		h.extra++
		if q.delay > 0 {
			h.restUntil(now.Add(q.delay))
		}
	}
	q.settle(h, now)
	if !free {
		return nil, false
	}
	return sync.OnceFunc(func() { q.disconnect(h) }), true
}

// crowded returns how many of the host's connections beyond the first of each
// ticket should be given up.
func (q *queue) crowded(host string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	h := q.hosts[host]
	if h == nil || q.perHost <= 0 {
		return 0
	}
	return min(h.extra, max(0, h.running+h.extra-q.perHost))
}

func (q *queue) disconnect(h *queueHost) {
	q.mu.Lock()
	defer q.mu.Unlock()
	h.extra--
	now := q.now()
	q.settle(h, now)
	q.letIn(now)
}

// holdOff lets nobody of the host in before until. It shortens no wait, and those
// that are in stay in.
func (q *queue) holdOff(host string, until time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.timed = true
	now := q.now()
	if until.After(now) {
		h := q.host(host)
		h.restUntil(until)
		q.settle(h, now)
	}
	q.letIn(now)
}

// now is the time if it matters to anybody, else zero.
func (q *queue) now() time.Time {
	if !q.timed {
		return time.Time{}
	}
	return time.Now()
}

// letIn hands out the free places. Every call ends with it: only then do the
// heaps say what is true at the time.
func (q *queue) letIn(now time.Time) {
	q.catchUp(now)
	for q.free > 0 && q.ready.Len() > 0 {
		h := q.ready.first()
		t := heap.Pop(&h.waiting).(*ticket)
		q.grant(h, t, now)
		if t.called != nil {
			close(t.called)
		}
	}
	if q.free > 0 && q.spare != nil {
		close(q.spare)
		q.spare = nil
	}
	q.arm(now)
}

// grant gives a ticket of the host, which waits no more, its place.
func (q *queue) grant(h *queueHost, t *ticket, now time.Time) {
	t.granted = true
	q.free--
	h.running++
	if q.delay > 0 {
		h.restUntil(now.Add(q.delay))
	}
	q.settle(h, now)
}

// waitForPlace waits until a place is free that none of those who wait can take. It
// does not take it.
func (q *queue) waitForPlace(ctx context.Context) error {
	for ctx.Err() == nil {
		q.mu.Lock()
		if q.free > 0 {
			q.mu.Unlock()
			return nil
		}
		if q.spare == nil {
			q.spare = make(chan struct{})
		}
		spare := q.spare
		q.mu.Unlock()
		select {
		case <-spare:
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx)
}

// catchUp moves the hosts whose time has come, and forgets those that nobody
// wants by then.
func (q *queue) catchUp(now time.Time) {
	for _, list := range []*hostHeap{&q.later, &q.idle} {
		for list.Len() > 0 && !list.first().until.After(now) {
			q.settle(list.first(), now)
		}
	}
}

// arm makes the timer fire when the next host's time comes, if there would be a
// place; if there is none, whoever gives one back looks for himself.
func (q *queue) arm(now time.Time) {
	var due time.Time
	if q.free > 0 && q.later.Len() > 0 {
		due = q.later.first().until
	}
	if due.Equal(q.due) {
		return
	}
	q.disarm()
	if !due.IsZero() {
		q.due = due
		q.timer = time.AfterFunc(due.Sub(now), q.wake)
	}
}

func (q *queue) disarm() {
	if q.timer != nil {
		q.timer.Stop()
	}
	q.timer, q.due = nil, time.Time{}
}

// wake is what the timer calls. One that was stopped too late does no harm.
func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.disarm()
	q.letIn(q.now())
}
