package dlmanager

import (
	"container/heap"
	"time"
)

// queueHost is what the queue knows of a host while somebody of it waits or has a
// place, and until its time has come. The queue's mutex guards it.
type queueHost struct {
	key     string
	waiting ticketHeap
	running int       // tickets that have a place
	extra   int       // their connections beyond the first
	until   time.Time // nobody is let in before

	in *hostHeap // where it stands; nil: nowhere
	at int       // and at which place
}

// host returns what is known of a host, or begins to.
func (q *queue) host(key string) *queueHost {
	h := q.hosts[key]
	if h == nil {
		h = &queueHost{key: key, waiting: ticketHeap{less: (*ticket).before}}
		q.hosts[key] = h
	}
	return h
}

// settle puts the host where it belongs after a change, or forgets it.
func (q *queue) settle(h *queueHost, now time.Time) {
	list := q.listOf(h, now)
	if list != nil && list == h.in {
		heap.Fix(list, h.at)
		return
	}
	if h.in != nil {
		heap.Remove(h.in, h.at)
	}
	h.in = list
	switch {
	case list != nil:
		heap.Push(list, h)
	case h.unused():
		delete(q.hosts, h.key)
	}
}

// listOf returns where the host belongs; nil: it is full, or nobody waits.
func (q *queue) listOf(h *queueHost, now time.Time) *hostHeap {
	resting := h.until.After(now)
	switch {
	case h.unused() && resting:
		return &q.idle
	case h.waiting.Len() == 0, q.isFull(h):
		return nil
	case resting:
		return &q.later
	default:
		return &q.ready
	}
}

// isFull reports whether as many of the host are in as may be.
func (q *queue) isFull(h *queueHost) bool { return q.perHost > 0 && h.running >= q.perHost }

// admits reports whether one of the host may go now, if there is a place.
func (q *queue) admits(h *queueHost, now time.Time) bool {
	return !q.isFull(h) && !h.until.After(now)
}

func (h *queueHost) unused() bool { return h.running == 0 && h.extra == 0 && h.waiting.Len() == 0 }

// first returns the ticket that goes next. There must be one.
func (h *queueHost) first() *ticket { return h.waiting.first() }

// restUntil lets nobody in before until, or longer if that stands already.
func (h *queueHost) restUntil(until time.Time) {
	if until.After(h.until) {
		h.until = until
	}
}

func soonerHost(a, b *queueHost) bool { return a.until.Before(b.until) }

func (h *queueHost) moved(at int) { h.at = at }

// before reports whether t goes before other.
func (t *ticket) before(other *ticket) bool {
	if t.priority != other.priority {
		return t.priority > other.priority
	}
	return t.number < other.number
}

func (t *ticket) moved(at int) { t.at = at }

type (
	ticketHeap = queueHeap[*ticket]
	hostHeap   = queueHeap[*queueHost]
)

// queueHeap is a heap (see container/heap) of what knows its place in it.
type queueHeap[T interface{ moved(at int) }] struct {
	less  func(a, b T) bool
	items []T
}

func (h *queueHeap[T]) first() T { return h.items[0] }

// Len is for container/heap, as are those below.
func (h *queueHeap[T]) Len() int { return len(h.items) }

func (h *queueHeap[T]) Less(i, j int) bool { return h.less(h.items[i], h.items[j]) }

func (h *queueHeap[T]) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.items[i].moved(i)
	h.items[j].moved(j)
}

func (h *queueHeap[T]) Push(item any) {
	t := item.(T)
	t.moved(len(h.items))
	h.items = append(h.items, t)
}

func (h *queueHeap[T]) Pop() any {
	last := len(h.items) - 1
	t := h.items[last]
	clear(h.items[last:]) // or the array keeps it
	h.items = h.items[:last]
	return t
}
