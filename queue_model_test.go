package dlmanager

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// slowQueue is the queue as one would explain it: it looks at everybody each
// time.
type slowQueue struct {
	places, perHost int
	delay           time.Duration
	waiting         []*slowTicket // as they came
	running         []*slowTicket
	until           map[string]time.Time
}

type slowTicket struct {
	host     string
	priority int
	in       bool
}

func (q *slowQueue) runningOf(host string) (n int) {
	for _, t := range q.running {
		if t.host == host {
			n++
		}
	}
	return n
}

// next returns who goes next at the time; nil: nobody may.
func (q *slowQueue) next(now time.Time) (best *slowTicket) {
	if len(q.running) >= q.places {
		return nil
	}
	for _, t := range q.waiting {
		full := q.perHost > 0 && q.runningOf(t.host) >= q.perHost
		if full || now.Before(q.until[t.host]) {
			continue
		}
		if best == nil || t.priority > best.priority {
			best = t
		}
	}
	return best
}

func (q *slowQueue) letIn(now time.Time) {
	for t := q.next(now); t != nil; t = q.next(now) {
		t.in = true
		q.waiting = slices.DeleteFunc(q.waiting, func(o *slowTicket) bool { return o == t })
		q.running = append(q.running, t)
		q.holdOff(t.host, now.Add(q.delay))
	}
}

func (q *slowQueue) holdOff(host string, until time.Time) {
	if until.After(q.until[host]) {
		q.until[host] = until
	}
}

func (q *slowQueue) leave(t *slowTicket) {
	is := func(o *slowTicket) bool { return o == t }
	q.waiting = slices.DeleteFunc(q.waiting, is)
	q.running = slices.DeleteFunc(q.running, is)
}

// pairedTicket is one ticket in both queues.
type pairedTicket struct {
	fast *ticket
	slow *slowTicket
}

func TestTheQueueIsAsItsModel(t *testing.T) {
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) { compareWithModel(t, seed) })
	}
}

func compareWithModel(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	places, perHost := 1+r.IntN(5), r.IntN(4)
	delay := time.Duration(r.IntN(3)) * 2 * time.Millisecond
	fast := newQueue(places, perHost, delay)
	slow := &slowQueue{places: places, perHost: perHost, delay: delay, until: map[string]time.Time{}}
	var all []pairedTicket
	for step := range 400 {
		host := fmt.Sprint("h", r.IntN(5))
		switch r.IntN(10) {
		case 0, 1, 2, 3:
			p := pairedTicket{slow: &slowTicket{host: host, priority: r.IntN(3)}}
			slow.waiting = append(slow.waiting, p.slow)
			p.fast = fast.enter(host, p.slow.priority)
			all = append(all, p)
		case 4, 5, 6:
			if len(all) > 0 {
				i := r.IntN(len(all))
				slow.leave(all[i].slow)
				all[i].fast.leave()
				all = slices.Delete(all, i, i+1)
			}
		case 7:
			until := time.Now().Add(time.Duration(r.IntN(12)-2) * time.Millisecond)
			slow.holdOff(host, until)
			fast.holdOff(host, until)
		default:
			time.Sleep(time.Millisecond) // all times are whole milliseconds: nothing happens in between
			synctest.Wait()
		}
		slow.letIn(time.Now())
		for _, p := range all {
			require.Equal(t, p.slow.in, isIn(p.fast), "seed %d, step %d, host %s", seed, step, p.slow.host)
		}
		requireSound(t, fast)
	}
	for _, p := range all {
		p.fast.leave()
	}
	time.Sleep(time.Second)
	fast.holdOff("h", time.Time{})
	requireForgotten(t, fast, places)
}

// requireSound asserts what holds between two calls.
func requireSound(t *testing.T, q *queue) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	require.True(t, q.free == 0 || q.ready.Len() == 0, "there is a place for who may go")
	require.Equal(t, q.free > 0 && q.later.Len() > 0, q.timer != nil)
	listed := 0
	for key, h := range q.hosts {
		require.Equal(t, key, h.key)
		require.True(t, !h.unused() || h.in == &q.idle)
		if h.in != nil {
			listed++
			require.Same(t, h, h.in.items[h.at])
		}
		for i, ticket := range h.waiting.items {
			require.Equal(t, i, ticket.at)
		}
	}
	require.Equal(t, listed, q.ready.Len()+q.later.Len()+q.idle.Len())
}
