package dlmanager

import "context"

// semaphore bounds how many do something at once. A nil one does not.
type semaphore struct{ places chan struct{} }

func newSemaphore(n int) *semaphore { return &semaphore{make(chan struct{}, n)} }

// begin waits for a place, and returns what gives it back; the error is the
// context's cause.
func (s *semaphore) begin(ctx context.Context) (done func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	select {
	case s.places <- struct{}{}:
		return func() { <-s.places }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
