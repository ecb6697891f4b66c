// Package ending has contexts that cost next to nothing unless they end.
//
// A download has several contexts, one below the other. Package context makes a map
// and a channel for each such pair, and cleans up both; with small files that takes a
// noticeable part of the time. Call [Context.Begin], and [Context.End] when nobody
// needs the context any more.
package ending

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Waiter is who wants to know that a context has ended. It must be comparable.
type Waiter interface {
	// Ended is called once, by whoever ends the context. It must not wait for
	// anything.
	Ended()
}

// Attacher is a context that tells waiters of its end.
type Attacher interface {
	// Attach lets w be told, at once if the context has ended.
	Attach(w Waiter)
	// Detach reports whether w has not been told, and is not going to be.
	Detach(w Waiter) bool
}

// Context is a [context.Context] that ends when End is called or its parent ends. It
// may be used by several goroutines and must not be copied. The zero Context has begun
// and has no parent.
//
// Err returns the cause, and so does [context.Cause]; package context knows causes of
// its own contexts alone. Who is to see [context.Canceled] gets a [Standard] one.
type Context struct {
	parent context.Context // nil: none
	bond   Bond            // to it

	mu      sync.Mutex    // guards all below
	cause   error         // nil: it has not ended
	done    chan struct{} // made when asked for
	waiters []Waiter
	room    [2]Waiter // for the first waiters
}

var (
	_ context.Context = (*Context)(nil)
	_ Attacher        = (*Context)(nil)
	_ Waiter          = (*Context)(nil)
)

// Begin makes c a child of parent. It is called once, before c is used.
func (c *Context) Begin(parent context.Context) {
	c.parent = parent
	c.bond = Tie(parent, c)
}

// End ends the context with a cause, nil being [context.Canceled], unless it has
// ended.
func (c *Context) End(cause error) {
	c.end(cmp.Or(cause, context.Canceled))
	c.bond.Untie(c)
}

// Ended implements [Waiter] for the parent.
func (c *Context) Ended() { c.end(context.Cause(c.parent)) }

func (c *Context) end(cause error) {
	c.mu.Lock()
	waiters := c.waiters
	c.waiters = nil
	if c.cause == nil {
		c.cause = cause
		if c.done != nil {
			close(c.done)
		}
	}
	c.mu.Unlock()
	for _, w := range waiters {
		w.Ended()
	}
}

// Attach implements [Attacher].
func (c *Context) Attach(w Waiter) {
	c.mu.Lock()
	ended := c.cause != nil
	if !ended {
		if c.waiters == nil {
			c.waiters = c.room[:0]
		}
		c.waiters = append(c.waiters, w)
	}
	c.mu.Unlock()
	if ended {
		w.Ended()
	}
}

// Detach implements [Attacher].
func (c *Context) Detach(w Waiter) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.waiters, w)
	if i >= 0 {
		c.waiters = slices.Delete(c.waiters, i, i+1)
	}
	return i >= 0
}

// AfterFunc calls f in a goroutine of its own when the context has ended. Package
// context looks for it; without, it would start a goroutine for each child.
func (c *Context) AfterFunc(f func()) (stop func() bool) {
	w := &called{f}
	c.Attach(w)
	return func() bool { return c.Detach(w) }
}

type called struct{ f func() }

func (w *called) Ended() { go w.f() }

// Err returns the cause, nil as long as the context has not ended.
func (c *Context) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Done implements [context.Context].
func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.cause != nil {
			close(c.done)
		}
	}
	return c.done
}

// Deadline implements [context.Context]; it is the parent's.
func (c *Context) Deadline() (time.Time, bool) {
	if c.parent == nil {
		return time.Time{}, false
	}
	return c.parent.Deadline()
}

// Value implements [context.Context]; it is the parent's.
func (c *Context) Value(key any) any {
	if c.parent == nil {
		return nil
	}
	return c.parent.Value(key)
}

// Bond ties a waiter to a context of any kind.
type Bond struct {
	to   Attacher    // nil: it is of another kind
	stop func() bool // for that; nil: nothing to stop
}

// Tie lets w be told when ctx ends, at once if it has. With a context of another kind
// that ends later, it is told by a goroutine of its own.
func Tie(ctx context.Context, w Waiter) Bond {
	if to, ok := ctx.(Attacher); ok {
		to.Attach(w)
		return Bond{to: to}
	}
	if ctx.Done() == nil {
		return Bond{stop: func() bool { return true }}
	}
	if ctx.Err() != nil { // a goroutine might come too late
		w.Ended()
		return Bond{}
	}
	return Bond{stop: context.AfterFunc(ctx, w.Ended)}
}

// Untie reports whether w, which was tied, has not been told, and is not going to be.
func (b Bond) Untie(w Waiter) bool {
	switch {
	case b.to != nil:
		return b.to.Detach(w)
	case b.stop != nil:
		return b.stop()
	}
	return false
}

// Standard returns a context of package context that ends as ctx does, at the same time
// and with its cause, and what has to be called when it is not needed any more.
func Standard(ctx context.Context) (std context.Context, release func()) {
	std, end := context.WithCancelCause(context.WithoutCancel(ctx))
	w := &standard{ctx, end}
	bond := Tie(ctx, w)
	return std, func() {
		bond.Untie(w)
		end(nil)
	}
}

type standard struct {
	of  context.Context
	end context.CancelCauseFunc
}

func (w *standard) Ended() { w.end(context.Cause(w.of)) }
