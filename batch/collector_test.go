package batch

import (
	"errors"
	"path"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// popAfter returns what comes next to who waits for it while fn is called, and after how
// long.
func popAfter[E any](c *collector[E], fn func()) (group []E, wait time.Duration) {
	begun := time.Now()
	over := make(chan struct{})
	go func() {
		defer close(over)
		group = slices.Clone(c.pop())
		wait = time.Since(begun)
		c.give(len(group))
	}()
	synctest.Wait()
	fn()
	<-over
	return group, wait
}

// The loop may have to stop because of a failure: others would begin meanwhile.
func TestAFailureWaitsForNoOtherOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector[string](false, &config{window: 10})
		n := c.take(4)
		group, wait := popAfter(c, func() { c.finish(n, "failed", true) })
		assert.Equal(t, []string{"failed"}, group)
		assert.Zero(t, wait)
		group, wait = popAfter(c, func() { c.finish(n+1, "there", false) })
		assert.Equal(t, []string{"there"}, group)
		assert.Equal(t, togetherFor, wait, "there is no haste any more")
		group, wait = popAfter(c, func() {
			c.finish(n+2, "there", false)
			c.finish(n+3, "failed", true)
		})
		assert.ElementsMatch(t, []string{"there", "failed"}, group)
		assert.Zero(t, wait)
	})
}

func TestAFailureWaitsOnlyForThoseBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector[string](true, &config{window: 10})
		n := c.take(6)
		group, wait := popAfter(c, func() {
			c.finish(n+2, "failed", true)
			c.finish(n, "first", false)
		})
		assert.Equal(t, []string{"first"}, group)
		assert.Zero(t, wait)
		group, wait = popAfter(c, func() { c.finish(n+1, "second", false) })
		assert.Equal(t, []string{"second", "failed"}, group)
		assert.Zero(t, wait)
		group, wait = popAfter(c, func() {
			c.finish(n+5, "before its turn", false)
			c.finish(n+3, "fourth", false)
		})
		assert.Equal(t, []string{"fourth"}, group)
		assert.Equal(t, togetherFor, wait, "there is no haste any more")
	})
}

func TestOnlyWhatFailedIsUrgent(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	for url, failed := range map[string]bool{o.Serve("/file", []byte("content")): false, o.URL("/missing"): true} {
		d := m.Download(url, path.Base(url))
		_ = d.Wait() // the next lines ask for it
		assert.Equal(t, failed, (&ended[int]{download: d}).failed(), url)
		assert.Equal(t, failed, (&ended[int]{outcome: &Outcome[int]{Err: d.Err()}}).failed(), url)
	}
	synctest.Test(t, func(t *testing.T) {
		f := &flight[int]{line: newCollector[ended[int]](false, &config{window: 10})}
		n := f.line.take(2)
		_, wait := popAfter(f.line, func() { f.end(n, ended[int]{outcome: &Outcome[int]{}}) })
		assert.Equal(t, togetherFor, wait)
		_, wait = popAfter(f.line, func() { f.end(n+1, ended[int]{outcome: &Outcome[int]{Err: errors.New("failed")}}) })
		assert.Zero(t, wait)
	})
}

// What is in a lane comes, whatever its goroutine waits for.
func TestWhatIsInALaneComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector[int](false, &config{window: 1000})
		one, other := c.lane(), c.lane()
		put := func(l *lane[int], n int) { c.put(l, uint64(n), n) }
		c.take(together + 5)
		group, wait := popAfter(c, func() {
			put(one, 0)
			time.Sleep(inLaneFor / 2)
			put(other, 1)
			put(one, 2)
		})
		assert.Equal(t, []int{0, 2}, group)
		assert.Equal(t, inLaneFor, wait)
		group, wait = popAfter(c, func() {})
		assert.Equal(t, []int{1}, group)
		assert.LessOrEqual(t, wait, 2*inLaneFor)
		group, wait = popAfter(c, func() {
			for n := range together {
				put(other, 3+n)
			}
		})
		assert.Len(t, group, together)
		assert.Zero(t, wait)
		group, wait = popAfter(c, func() {
			put(one, 0)
			put(one, 1)
			c.empty(one)
		})
		assert.Equal(t, []int{0, 1}, group)
		assert.LessOrEqual(t, wait, togetherFor)
		assert.Zero(t, one.items[:2][1]+other.items[:together][1], "nothing is kept")
		time.Sleep(inLaneFor) // for the timers
	})
}

func TestWhatIsInOrderGoesThroughNoLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector[int](true, &config{window: 10})
		n := c.take(2)
		l := c.lane()
		group, wait := popAfter(c, func() {
			c.put(l, n+1, 1)
			c.put(l, n, 0)
		})
		assert.Equal(t, []int{0, 1}, group)
		assert.Equal(t, togetherFor, wait)
	})
}
