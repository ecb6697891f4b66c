package dlmanager

import (
	"context"
	"errors"
	"fmt"
)

// WaitError is what failed since the manager's Wait was last called.
type WaitError struct {
	Errs  []error // the first ones
	Count int     // of all
}

func (e *WaitError) Error() string {
	text := errors.Join(e.Errs...).Error()
	if more := e.Count - len(e.Errs); more > 0 {
		text += fmt.Sprintf("\nand %d more", more)
	}
	return text
}

// Unwrap returns the first errors.
func (e *WaitError) Unwrap() []error { return e.Errs }

// maxFailures bounds what is kept for Wait: a person reads a handful, and a
// program that wants all has the finished hook.
const maxFailures = 16

// failures collects what Wait returns. The manager's mutex guards it.
type failures struct {
	first []error
	count int
}

// add counts err, unless somebody wanted that end.
func (f *failures) add(err error) {
	if err == nil || errors.Is(err, ErrCanceled) || errors.Is(err, ErrInterrupted) || errors.Is(err, ErrClosed) {
		return
	}
	if len(f.first) < maxFailures {
		f.first = append(f.first, err)
	}
	f.count++
}

// take returns what was collected and forgets it.
func (f *failures) take() error {
	if f.count == 0 {
		return nil
	}
	e := &WaitError{Errs: f.first, Count: f.count}
	*f = failures{}
	return e
}

// Wait waits until nothing is in flight, also what is started meanwhile, and
// returns a [*WaitError] if downloads failed since it was last called; cancelled
// and interrupted ones did not fail.
func (m *DownloadManager) Wait() error { return m.WaitContext(context.Background()) }

// WaitContext is Wait that gives up when ctx ends, with the context's cause. The
// downloads go on, and what failed is kept for the next Wait.
func (m *DownloadManager) WaitContext(ctx context.Context) error {
	if err := m.idle(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failures.take()
}

// WaitForPlace waits until another download could begin at once: a place is free
// (WithMaxConcurrent) that none of the downloads that wait can take, because all of
// them wait for their own hosts. It reserves nothing. Who has many files to ask for
// calls it before each, so that few of them wait at a time. When ctx ends first, it
// returns the context's cause.
func (m *DownloadManager) WaitForPlace(ctx context.Context) error {
	return m.queue.waitForPlace(ctx)
}

// idle waits until no download is alive.
func (m *DownloadManager) idle(ctx context.Context) error {
	for d := m.anyAlive(); d != nil; d = m.anyAlive() {
		select {
		case <-d.Done():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (m *DownloadManager) anyAlive() *Download {
	m.mu.Lock()
	defer m.mu.Unlock()
	for d := range m.alive {
		return d
	}
	return nil
}
