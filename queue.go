package dlmanager

import (
	"context"
	"sync"
)

// queue bounds how many downloads run at once, and lets them in in the order in
// which they were asked for.
type queue struct {
	mu      sync.Mutex // guards all below
	free    int        // places that nobody has; 0 while somebody waits
	waiting []*ticket  // first come first; those that gave up are passed over
}

// ticket is one place in the queue, waited for or had.
type ticket struct {
	q       *queue
	called  chan struct{} // closed when the place is there
	over    bool          // given back, or given up; guarded by q.mu
	granted bool          // guarded by q.mu
}

func newQueue(places int) *queue { return &queue{free: places} }

// enter joins the queue. It does not wait.
func (q *queue) enter() *ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := &ticket{q: q, called: make(chan struct{})}
	if q.free > 0 {
		q.free--
		t.grant()
		return t
	}
	q.waiting = append(q.waiting, t)
	return t
}

func (t *ticket) grant() {
	t.granted = true
	close(t.called)
}

// wait waits for the place and reports whether it had to. When ctx ends, the
// ticket is given up.
func (t *ticket) wait(ctx context.Context) (waited bool, err error) {
	if ctx.Err() != nil {
		t.leave()
		return false, context.Cause(ctx)
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
	t.q.mu.Lock()
	defer t.q.mu.Unlock()
	if t.over {
		return
	}
	t.over = true
	if t.granted {
		t.q.letIn()
	}
}

// letIn hands a free place to the first that still waits.
func (q *queue) letIn() {
	for len(q.waiting) > 0 {
		t := q.waiting[0]
		q.waiting[0] = nil // or the array keeps it
		q.waiting = q.waiting[1:]
		if !t.over {
			t.grant()
			return
		}
	}
	q.free++
}
