package transfer

import (
	"context"
	"errors"
	"time"
)

// watch ends the context of a transfer when the server is silent for too long.
// It is armed only while somebody waits for the network, so that a slow disk or
// a slow callback is not taken for a slow server.
type watch struct {
	parent context.Context
	ctx    context.Context // of the requests
	cancel context.CancelCauseFunc
	limit  time.Duration
	timer  *time.Timer // nil until first armed
}

func newWatch(parent context.Context, limit time.Duration) *watch {
	ctx, cancel := context.WithCancelCause(parent)
	return &watch{parent: parent, ctx: ctx, cancel: cancel, limit: limit}
}

// arm starts the clock, from the full limit.
func (w *watch) arm() {
	switch {
	case w.limit <= 0:
	case w.timer == nil:
		w.timer = time.AfterFunc(w.limit, func() { w.cancel(ErrStalled) })
	default:
		w.timer.Reset(w.limit)
	}
}

// disarm stops the clock.
func (w *watch) disarm() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

func (w *watch) stop() {
	w.disarm()
	w.cancel(nil)
}

// ended returns why the caller's context ended, if it has, and whether it was
// the silence that ended the transfer.
func (w *watch) ended() (cause error, stalled bool) {
	if w.parent.Err() != nil {
		return context.Cause(w.parent), false
	}
	return nil, errors.Is(context.Cause(w.ctx), ErrStalled)
}
