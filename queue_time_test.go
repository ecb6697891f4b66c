package dlmanager

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// calls notes when the tickets are called, from now on.
type calls struct {
	t     *testing.T
	q     *queue
	began time.Time
	noted events
}

func newCalls(t *testing.T, q *queue) *calls {
	return &calls{t: t, q: q, began: time.Now()}
}

// enter queues; the ticket leaves as soon as it is called.
func (c *calls) enter(name, host string, priority int) {
	ticket := c.q.enter(host, priority)
	go func() {
		_, err := ticket.wait(c.t.Context())
		assert.NoError(c.t, err)
		c.noted.add(fmt.Sprint(name, " ", time.Since(c.began)))
		ticket.leave()
	}()
}

func TestTheDelayLiesBetweenTwoOfOneHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(10, 0, time.Second)
		c := newCalls(t, q)
		for i := range 3 {
			c.enter(fmt.Sprint("a", i), "a", 0)
		}
		synctest.Wait()
		c.enter("b", "b", 0)
		c.enter("urgent", "a", 1)
		synctest.Wait()
		require.Equal(t, []string{"a0 0s", "b 0s"}, c.noted.all(), "the other host is not delayed")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"a0 0s", "b 0s", "urgent 1s"}, c.noted.all())
		time.Sleep(time.Minute)
		require.Equal(t, []string{"a1 2s", "a2 3s"}, c.noted.all()[3:])
		c.enter("late", "a", 0)
		synctest.Wait()
		require.Equal(t, "late 1m1s", c.noted.all()[5], "the delay is over by then")
		time.Sleep(time.Second)
		q.holdOff("a", time.Now()) // any call forgets
		requireForgotten(t, q, 10)
	})
}

func TestAHostIsHeldOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(10, 0, 0)
		c := newCalls(t, q)
		in := q.enter("a", 0)
		start := time.Now()
		q.holdOff("a", start.Add(time.Hour))
		q.holdOff("a", start.Add(time.Minute)) // shortens nothing
		q.holdOff("b", start.Add(-time.Hour))
		require.True(t, isIn(in))
		c.enter("a", "a", 9)
		c.enter("b", "b", 0)
		time.Sleep(time.Hour - time.Nanosecond)
		synctest.Wait()
		require.Equal(t, []string{"b 0s"}, c.noted.all())
		in.leave() // of the same host, and not affected
		synctest.Wait()
		require.Len(t, c.noted.all(), 1)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, []string{"b 0s", "a 1h0m0s"}, c.noted.all())
		requireForgotten(t, q, 10)
	})
}

func TestAHoldGrowsWhileSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 0, time.Second)
		c := newCalls(t, q)
		c.enter("first", "a", 0)
		synctest.Wait()
		c.enter("a", "a", 0)
		q.holdOff("c", time.Now().Add(2*time.Minute))
		c.enter("c", "c", 0)
		q.holdOff("a", time.Now().Add(3*time.Minute)) // longer than its delay
		time.Sleep(time.Hour)
		require.Equal(t, []string{"first 0s", "c 2m0s", "a 3m0s"}, c.noted.all())
	})
}

func TestWhoseTimeComesWhileAllPlacesAreTakenGoesWhenOneIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 0, 0)
		c := newCalls(t, q)
		in := q.enter("a", 0)
		q.holdOff("b", time.Now().Add(time.Second))
		c.enter("b", "b", 1)
		c.enter("c", "c", 0)
		time.Sleep(time.Minute)
		require.Nil(t, q.timer, "no place, no timer")
		in.leave()
		synctest.Wait()
		require.Equal(t, []string{"b 1m0s", "c 1m0s"}, c.noted.all())
		requireForgotten(t, q, 1)
	})
}

func TestTheTimerGoesWithWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 0, 0)
		q.holdOff("a", time.Now().Add(time.Minute))
		q.holdOff("b", time.Now().Add(time.Hour))
		require.Nil(t, q.timer, "nobody waits")
		a, b := q.enter("a", 0), q.enter("b", 0)
		require.Equal(t, time.Minute, time.Until(q.due))
		a.leave()
		require.Equal(t, time.Hour, time.Until(q.due))
		c := q.enter("c", 0)
		require.Nil(t, q.timer, "the place is taken")
		c.leave()
		require.NotNil(t, q.timer)
		b.leave()
		require.Nil(t, q.timer)
	})
}

func TestHostsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(3, 2, time.Second)
		most := 0
		for i := range 5000 {
			host := fmt.Sprint("h", i)
			q.holdOff(host, time.Now().Add(2*time.Second))
			held, other := q.enter(host, 0), q.enter("g"+host, 0)
			held.leave()
			other.leave()
			most = max(most, len(q.hosts))
			time.Sleep(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, most, 20+10+2, "those whose time is not over, and no others")
		time.Sleep(time.Minute)
		q.enter("h", 0).leave()
		require.Len(t, q.hosts, 1, "it has its delay")
		time.Sleep(time.Second)
		q.holdOff("h", time.Time{})
		requireForgotten(t, q, 3)
	})
}

func TestAPlaceThatNobodyCanTakeIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(2, 1, 0)
		require.NoError(t, q.waitForPlace(t.Context()))
		first := q.enter("a", 0)
		second := q.enter("a", 0)
		require.NoError(t, q.waitForPlace(t.Context()), "the second waits for its host, and leaves the place to others")
		other := q.enter("b", 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, q.waitForPlace(ctx), context.DeadlineExceeded)
		done := make(chan error, 2)
		for range 2 {
			go func() { done <- q.waitForPlace(t.Context()) }()
		}
		synctest.Wait()
		first.leave()
		synctest.Wait()
		require.Empty(t, done, "the second has taken the place")
		other.leave()
		require.NoError(t, <-done)
		require.NoError(t, <-done)
		second.leave()
	})
}
