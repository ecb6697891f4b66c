package transfer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// simulate lets an adapter rule over a server that sends rate(n) bytes a second
// over n connections, of which new ones need lag to begin. It returns how many
// connections there were at each look, until the file is there.
func simulate(rate func(n int) float64, size int64, lag time.Duration, most int) (seen []int, took time.Duration) {
	a := newAdapter()
	active, since := 1, time.Duration(0)
	before := 1
	for now := lookEvery; size > 0; now += lookEvery {
		ready := now-since > lag
		n := active
		if !ready {
			n = before
		}
		moved := min(int64(rate(n)*lookEvery.Seconds()), size)
		size -= moved
		want := a.look(now, moved, size, active, ready, most)
		if want != active {
			before, since = active, now
			active = want
		}
		seen = append(seen, active)
		took = now
	}
	return seen, took
}

func TestAsManyConnectionsAsHelp(t *testing.T) {
	const mega = 1e6
	each := func(one float64) func(int) float64 { return func(n int) float64 { return float64(n) * one } }
	capped := func(one, all float64) func(int) float64 {
		return func(n int) float64 { return min(float64(n)*one, all) }
	}
	for name, c := range map[string]struct {
		rate         func(int) float64
		size         int64
		lag          time.Duration
		most         int
		last, peak   int
		atMostChange int
	}{
		"each is limited":              {each(20 * mega), 256 * mega, 0, 16, 16, 16, 2},
		"each is limited, far away":    {each(5 * mega), 64 * mega, 200 * time.Millisecond, 16, 16, 16, 2},
		"all together are limited":     {capped(1e9, 100*mega), 1000 * mega, 0, 16, 1, 2, 2},
		"two help, more do not":        {capped(10*mega, 20*mega), 200 * mega, 0, 16, 2, 16, 3},
		"it will be there in a second": {each(100 * mega), 150 * mega, 0, 16, 1, 1, 0},
		"no more are allowed":          {each(mega), 20 * mega, 0, 1, 1, 1, 0},
		"few are allowed":              {each(mega), 20 * mega, 0, 3, 3, 3, 2},
	} {
		t.Run(name, func(t *testing.T) {
			seen, _ := simulate(c.rate, c.size, c.lag, c.most)
			peak, changes := 1, 0
			for i, n := range seen {
				peak = max(peak, n)
				if i > 0 && n != seen[i-1] {
					changes++
				}
			}
			assert.Equal(t, c.last, seen[len(seen)-1], "%v", seen)
			assert.Equal(t, c.peak, peak, "%v", seen)
			assert.LessOrEqual(t, changes, c.atMostChange, "%v", seen)
		})
	}
}

func TestATrialThatDoesNotHelpIsSeldomRepeated(t *testing.T) {
	flat := func(int) float64 { return 1e6 }
	seen, took := simulate(flat, 200e6, 0, 16)
	trials := 0
	for i := 1; i < len(seen); i++ {
		if seen[i] > seen[i-1] {
			trials++
		}
	}
	assert.Greater(t, took, 3*time.Minute)
	assert.LessOrEqual(t, trials, 5, "10, 20, 40, 80 s apart")
}

func TestSlowStartIsNotTakenForALimit(t *testing.T) {
	a := newAdapter()
	rate, active := 1e5, 1
	for now := lookEvery; now < 2*time.Second; now += lookEvery {
		rate *= 1.5 // it gains speed by itself
		active = a.look(now, int64(rate*lookEvery.Seconds()), 1e12, active, true, 16)
	}
	assert.Equal(t, 1, active)
}

func TestAMachineThatIsBusyIsNotTakenForALimit(t *testing.T) {
	noise := 0
	seen, _ := simulate(func(int) float64 {
		noise++
		return []float64{2e9, 0.6e9, 1.5e9, 0.8e9, 1.9e9}[noise%5]
	}, 100e9, 0, 16)
	for _, n := range seen {
		assert.Equal(t, 1, n)
	}
}
