package dlmanager

import (
	"fmt"
	"math/bits"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// countLess counts the comparisons of a heap.
func countLess[T interface{ moved(int) }](h *queueHeap[T], n *int) {
	less := h.less
	h.less = func(a, b T) bool { *n++; return less(a, b) }
}

// newCounted returns a queue with one host that is held off, and what counts the
// comparisons of them all.
func newCounted(places int) (q *queue, compared *int) {
	q, compared = newQueue(places, 0, 0), new(int)
	for _, list := range []*hostHeap{&q.ready, &q.later, &q.idle} {
		countLess(list, compared)
	}
	q.holdOff("blocked", time.Now().Add(time.Hour))
	countLess(&q.hosts["blocked"].waiting, compared)
	return q, compared
}

func TestABlockedHostCostsTheOthersNothing(t *testing.T) {
	cost := func(blocked int) int {
		q, compared := newCounted(1)
		var all []*ticket
		for range blocked {
			all = append(all, q.enter("blocked", 0))
		}
		*compared = 0
		for range 100 {
			ticket := q.enter("other", 0)
			require.True(t, isIn(ticket))
			ticket.leave()
		}
		spent := *compared
		for _, ticket := range all {
			ticket.leave()
		}
		return spent
	}
	assert.Equal(t, cost(1), cost(20_000))
}

func TestWaitingCostsTheLogarithm(t *testing.T) {
	const n = 20_000
	q, compared := newCounted(1)
	limit := 4 * bits.Len(n)
	var all []*ticket
	worst := 0
	count := func(do func()) {
		*compared = 0
		do()
		worst = max(worst, *compared)
	}
	for i := range n {
		count(func() { all = append(all, q.enter("blocked", i%10)) })
	}
	assert.LessOrEqual(t, worst, limit, "entering")
	worst = 0
	for i := 0; i < n; i += 2 {
		count(all[i].leave)
	}
	assert.LessOrEqual(t, worst, limit, "giving up")
	require.Equal(t, n/2, q.hosts["blocked"].waiting.Len(), "who gave up is not kept")
	for i := 1; i < n; i += 2 {
		all[i].leave()
	}
	require.Zero(t, q.hosts["blocked"].waiting.Len())
	require.Nil(t, q.timer)
}

func TestManyHostsCostTheLogarithm(t *testing.T) {
	const n = 20_000
	q, compared := newCounted(1)
	limit := 4 * bits.Len(n)
	in := q.enter("first", 0)
	worst := 0
	count := func(do func()) {
		*compared = 0
		do()
		worst = max(worst, *compared)
	}
	var all []*ticket
	for i := range n {
		count(func() { all = append(all, q.enter(fmt.Sprint("h", i), i%10)) })
	}
	assert.LessOrEqual(t, worst, limit, "entering")
	worst = 0
	in.leave()
	for priority := 9; priority >= 0; priority-- {
		for i := priority; i < n; i += 10 {
			require.True(t, isIn(all[i]))
			count(all[i].leave)
		}
	}
	assert.LessOrEqual(t, worst, limit, "going")
	assert.Len(t, q.hosts, 1, "the one that is held off")
}
