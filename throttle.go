package dlmanager

import (
	"context"

	"golang.org/x/time/rate"

	"github.com/dlmanager/dlmanager/internal/transfer"
)

const (
	// quanta is how many portions a limited rate comes in, a second: smooth to
	// the eye, and little to do.
	quanta = 20
	// minQuantum and maxQuantum bound a portion, in bytes: a packet, and what is
	// worth a call at the highest speeds.
	minQuantum = 1 << 10
	maxQuantum = 1 << 20
)

// throttle is a limited rate that transfers share.
type throttle struct {
	limiter *rate.Limiter
	quantum int
}

// newThrottle returns a throttle of so many bytes a second, nil if that is no
// limit.
func newThrottle(bytesPerSecond int64) *throttle {
	if bytesPerSecond <= 0 {
		return nil
	}
	quantum := int(min(max(bytesPerSecond/quanta, minQuantum), maxQuantum))
	return &throttle{rate.NewLimiter(rate.Limit(bytesPerSecond), quantum), quantum}
}

// throttles are the limits that hold for one transfer.
type throttles []*throttle

// throttleOf returns nil if there is no limit at all.
func throttleOf(all ...*throttle) transfer.Throttle {
	var limits throttles
	for _, t := range all {
		if t != nil {
			limits = append(limits, t)
		}
	}
	if limits == nil {
		return nil
	}
	return limits
}

// Quantum implements transfer.Throttle.
func (l throttles) Quantum() int {
	n := maxQuantum
	for _, t := range l {
		n = min(n, t.quantum)
	}
	return n
}

// Pay implements transfer.Throttle.
func (l throttles) Pay(ctx context.Context, n int) error {
	for _, t := range l {
		if err := t.limiter.WaitN(ctx, n); err != nil {
			return err
		}
	}
	return nil
}
