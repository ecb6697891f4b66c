package batch

import (
	"context"
	"iter"

	"github.com/dlmanager/dlmanager"
)

// Each fetches the items and gives out their outcomes as they come. The sequence
// is called from another goroutine; it may be endless, and may wait. When ctx ends,
// no more is taken, and what is in hand ends as [WithDrain] says; its outcomes are
// still given out. Leaving the loop interrupts what is in hand and waits for it, and
// for the sequence, if that has just been asked for its next item; one that waits for
// something has to heed ctx itself.
//
// One manager may serve several loops. A loop over what Each returns may be run
// again, if the sequence can.
func Each[T any](ctx context.Context, m *dlmanager.DownloadManager, items iter.Seq[Item[T]], opts ...Option) iter.Seq[Outcome[T]] {
	return outcomes(ctx, m, items, false, opts)
}

// Swarm is [Each] in the order of the items.
func Swarm[T any](ctx context.Context, m *dlmanager.DownloadManager, items iter.Seq[Item[T]], opts ...Option) iter.Seq[Outcome[T]] {
	return outcomes(ctx, m, items, true, opts)
}

// One fetches a single item and waits for it.
func One[T any](ctx context.Context, m *dlmanager.DownloadManager, item Item[T], opts ...Option) Outcome[T] {
	outcome := Outcome[T]{Item: item}
	for outcome = range Each(ctx, m, func(yield func(Item[T]) bool) { yield(item) }, opts...) {
		return outcome
	}
	outcome.Err = context.Cause(ctx)
	return outcome
}

func outcomes[T any](ctx context.Context, m *dlmanager.DownloadManager, items iter.Seq[Item[T]], ordered bool, opts []Option) iter.Seq[Outcome[T]] {
	return func(yield func(Outcome[T]) bool) {
		for group := range groups(ctx, m, pulled(items), ordered, opts) {
			for i := range group.outcomes {
				group.give(1)
				if !yield(group.outcomes[i]) {
					return
				}
			}
		}
	}
}

// group is outcomes that are there at the same time.
type group[T any] struct {
	outcomes []Outcome[T] // valid until the next group is asked for
	give     func(n int)  // is told that so many more of them are given out
}

// groups is [outcomes] that gives them out together that come together. It is used
// once.
func groups[T any](ctx context.Context, m *dlmanager.DownloadManager, from supply[T], ordered bool, opts []Option) iter.Seq[group[T]] {
	return func(yield func(group[T]) bool) {
		f := newFlight[T](ctx, m, ordered, newConfig(opts))
		defer f.close() // also when the loop's body panics
		f.start(from)
		for {
			all := f.outcomes(f.line.pop())
			if len(all) == 0 {
				f.rethrow()
				return
			}
			if !yield(group[T]{all, f.line.give}) {
				return
			}
		}
	}
}
