package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"time"
)

// Store keeps the state of one source.
type Store interface {
	// Load returns what was saved; an error that matches os.ErrNotExist if nothing
	// was.
	Load() ([]byte, error)
	// Save replaces it, whole or not at all.
	Save([]byte) error
	// SetAside puts what was saved where a person finds it and Load does not.
	SetAside() error
	// Remove removes it. There may be none.
	Remove() error
}

// saveEvery is how often a state is saved while a source is used: losing some
// seconds costs that much work, and a save costs a flush to the disk.
const saveEvery = 5 * time.Second

// Resumption goes through a source and keeps its place in a store.
type Resumption[T any] struct {
	Resuming bool // it goes on where an earlier one was left
	Start    int  // how many items came before
	source   Source[T]
	store    Store
	saved    time.Time
}

// Resumable returns what goes through the source from the place that the store has
// for it, or else from its beginning. A state that is corrupt, expired or that of
// another source is said to the logger, and set aside.
func Resumable[T any](source Source[T], store Store, logger *slog.Logger) (*Resumption[T], error) {
	r := &Resumption[T]{source: source, store: store, saved: time.Now()}
	text, err := store.Load()
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	frozen, err := parseFrozen(text)
	if err == nil {
		err = source.Thaw(frozen)
	}
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrForeign) || errors.Is(err, ErrExpired) {
		logger.Warn("state is not used: beginning anew", "reason", err)
		return r, store.SetAside()
	}
	if err != nil {
		return nil, fmt.Errorf("resume: %w", err)
	}
	r.Resuming, r.Start = true, frozen.Index
	return r, nil
}

// All gives out the items. The place is saved every five seconds, at every error,
// when ctx ends, and when the loop is left early or panics; it is removed when the
// source is at its end, and only then. An error ends the loop, unless it is a
// *LineError: then that item is passed over by who goes on.
func (r *Resumption[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		over := false
		defer func() {
			if !over {
				_ = r.save() // left early, or panicking: there is nobody to tell
			}
		}()
		for {
			item, err := r.next(ctx)
			if errors.Is(err, io.EOF) {
				over = true
				if err := r.store.Remove(); err != nil {
					yield(item, fmt.Errorf("remove state: %w", err))
				}
				return
			}
			_, passed := errors.AsType[*LineError](err)
			if err != nil {
				err = errors.Join(err, r.save())
			}
			if !yield(item, err) || err != nil && !passed {
				return
			}
		}
	}
}

// next returns the next item, and saves the place when it is time.
func (r *Resumption[T]) next(ctx context.Context) (item T, err error) {
	if ctx.Err() != nil {
		return item, context.Cause(ctx)
	}
	if item, err = r.source.Next(ctx); err == nil && time.Since(r.saved) >= saveEvery {
		err = r.save()
	}
	return item, err
}

func (r *Resumption[T]) save() error {
	frozen, err := r.source.Freeze()
	if err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	text, err := json.Marshal(frozen)
	if err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	if err := r.store.Save(text); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	r.saved = time.Now()
	return nil
}
