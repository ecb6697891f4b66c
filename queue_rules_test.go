package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// isIn reports whether the ticket has been called.
func isIn(t *ticket) bool {
	if t.called == nil { // at once
		return true
	}
	select {
	case <-t.called:
		return true
	default:
		return false
	}
}

// requireForgotten asserts that the queue has given all places back and remembers
// nobody.
func requireForgotten(t testing.TB, q *queue, places int) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	require.Equal(t, places, q.free)
	require.Empty(t, q.hosts)
	require.Zero(t, q.ready.Len()+q.later.Len()+q.idle.Len())
	require.Nil(t, q.timer)
}

// leaveInOrder lets one after the other leave and returns in which order the
// waiting ones get in.
func leaveInOrder(in *ticket, waiting map[string]*ticket) (order []string) {
	for range waiting {
		in.leave()
		for name, t := range waiting {
			if isIn(t) && !t.over {
				order = append(order, name)
				in = t
				break
			}
		}
	}
	in.leave()
	return order
}

func TestTheHighestPriorityGoesFirstAndThenTheFirst(t *testing.T) {
	q := newQueue(1, 0, 0)
	in := q.enter("h", -7)
	require.True(t, isIn(in), "nobody else wants the place")
	waiting := map[string]*ticket{}
	for i, priority := range []int{0, 5, -5, 5, 0, -5, 9} {
		host := fmt.Sprint("h", i%2)
		waiting[fmt.Sprint(priority, " ", i)] = q.enter(host, priority)
	}
	assert.Equal(t, []string{"9 6", "5 1", "5 3", "0 0", "0 4", "-5 2", "-5 5"}, leaveInOrder(in, waiting))
	requireForgotten(t, q, 1)
}

func TestAHostHasItsShareAndHoldsUpNobody(t *testing.T) {
	q := newQueue(5, 2, 0)
	var a, b []*ticket
	for range 4 {
		a = append(a, q.enter("a", 1))
	}
	for range 4 {
		b = append(b, q.enter("b", 0))
	}
	in := func(all []*ticket) (n int) {
		for _, t := range all {
			if isIn(t) {
				n++
			}
		}
		return n
	}
	assert.Equal(t, 2, in(a))
	assert.Equal(t, 2, in(b), "although all of a go before")
	b[0].leave()
	assert.Equal(t, 3, in(b))
	assert.Equal(t, 2, in(a), "a place of b is none of a")
	a[0].leave()
	assert.Equal(t, 3, in(a))
	for _, t := range append(a, b...) {
		t.leave()
	}
	requireForgotten(t, q, 5)
}

func TestNoBoundForAHost(t *testing.T) {
	for _, perHost := range []int{0, -1} {
		q := newQueue(3, perHost, 0)
		all := []*ticket{q.enter("h", 0), q.enter("h", 0), q.enter("h", 0), q.enter("h", 0)}
		assert.True(t, isIn(all[2]))
		assert.False(t, isIn(all[3]))
		for _, t := range all {
			t.leave()
		}
		requireForgotten(t, q, 3)
	}
}

func TestGivingUpInEachState(t *testing.T) {
	q := newQueue(1, 1, 0)
	in := q.enter("h", 0)
	first, second, third, other := q.enter("h", 0), q.enter("h", 0), q.enter("h", 0), q.enter("g", 0)
	second.leave() // in the middle of a host that is full
	second.leave()
	first.leave() // the next one
	in.leave()    // from the place
	in.leave()
	require.True(t, isIn(third))
	require.False(t, isIn(second) || isIn(first))
	require.False(t, isIn(other), "who left twice gave one place back")
	other.leave() // the only one of a host that may go
	third.leave()
	requireForgotten(t, q, 1)

	q.holdOff("h", time.Now().Add(time.Hour))
	held := q.enter("h", 0)
	require.False(t, isIn(held))
	require.NotNil(t, q.timer)
	held.leave() // waiting for a time
	require.Nil(t, q.timer, "nobody waits for it")
	require.Equal(t, 1, q.free)
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	q := newQueue(1, 0, 0)
	cause := errors.New("enough")
	over, cancel := context.WithCancelCause(t.Context())
	cancel(cause)

	in := q.enter("h", 0)
	waited, err := in.wait(t.Context())
	require.NoError(t, err)
	require.False(t, waited)
	queued := q.enter("h", 0)
	waited, err = queued.wait(over)
	require.ErrorIs(t, err, cause)
	require.False(t, waited)
	_, err = in.wait(over) // also of one that is in
	require.ErrorIs(t, err, cause)
	requireForgotten(t, q, 1)
}

func TestHostKey(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"https://h/a", "h:443"},
		{"https://h:443/b?c", "h:443"},
		{"HTTPS://H/", "h:443"},
		{"https://h:/", "h:443"},
		{"https://u:p@h/", "h:443"},
		{"http://h/", "h:80"},
		{"http://h:80/", "h:80"},
		{"http://h:443/", "h:443"},
		{"http://h:8080/", "h:8080"},
		{"http://H:8080/", "h:8080"},
		{"http://[::1]/", "[::1]:80"},
		{"http://[::1]:81/", "[::1]:81"},
		{"http://[FE80::1]/", "[fe80::1]:80"},
	} {
		u, err := url.Parse(c.url)
		require.NoError(t, err)
		assert.Equal(t, c.want, hostKey(u), c.url)
	}
}

func TestManyAtOnce(t *testing.T) {
	const places, perHost = 5, 2
	q := newQueue(places, perHost, 0)
	var mu sync.Mutex
	all, of := 0, map[string]int{}
	count := func(host string, by int) {
		mu.Lock()
		defer mu.Unlock()
		all += by
		of[host] += by
		assert.LessOrEqual(t, all, places)
		assert.LessOrEqual(t, of[host], perHost)
	}
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			host := fmt.Sprint("h", i%7)
			ticket := q.enter(host, i%3)
			if i%11 == 0 {
				ticket.leave()
				return
			}
			_, err := ticket.wait(t.Context())
			assert.NoError(t, err)
			count(host, 1)
			count(host, -1)
			ticket.leave()
		})
	}
	wg.Wait()
	requireForgotten(t, q, places)
}
