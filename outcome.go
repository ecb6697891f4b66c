package dlmanager

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

func (l *life) succeed(result Result) step {
	l.finish(result, nil)
	return nil
}

// fail is the one door through which errors leave.
func (l *life) fail(err error) step {
	l.failure = err
	return (*life).failed
}

func (l *life) failed() step {
	err := l.failure
	if l.mayUseOld(err) {
		return l.useOld(err)
	}
	result := Result{WireBytes: l.wire}
	if l.partial != nil {
		kept, left := l.leave(err)
		if kept {
			result.Kept = l.fetched.N
		}
		err = errors.Join(err, left)
	}
	l.finish(result, err)
	return nil
}

// leave keeps the partial file after a failure, if somebody can go on from it,
// and else removes it. The error is what could not be removed.
func (l *life) leave(failure error) (kept bool, err error) {
	if l.digests != nil {
		l.digests.Close() // it reads the file that is going to be closed
	}
	if l.recorder.end(&l.fetched) && !isFinal(failure) {
		err := l.partial.Keep()
		if err == nil {
			l.site.left(l.Download)
			return true, nil
		}
		l.cfg.logger.Debug("partial file is not kept", "name", l.name, "error", err)
	}
	return false, l.partial.Cancel()
}

// isFinal reports whether nobody is going to want the rest after such a failure.
func isFinal(err error) bool {
	if all, ok := errors.AsType[*SourcesError](err); ok {
		err = all.Errs[len(all.Errs)-1] // it sent what is there
	}
	for _, final := range []error{ErrCanceled, ErrTooLarge, ErrTooSmall, ErrChecksum, errChanged} {
		if errors.Is(err, final) {
			return true
		}
	}
	_, refused := errors.AsType[*VerifyError](err)
	return refused
}

// finish gives back what is held and sets the outcome.
func (l *life) finish(result Result, err error) {
	l.giveBack()
	if !l.unseen || result.Origin != OriginCached { // else it was there, as if it had been looked for at once
		result.Elapsed = time.Since(l.started)
	}
	l.Download.finish(result, err)
}

// giveBack gives back what is held. A second call does nothing.
func (l *life) giveBack() {
	l.idle()
	if l.digests != nil {
		l.digests.Close()
	}
	l.recorder.stop()
	if l.partial != nil {
		_ = l.partial.Cancel() // it has landed, or was kept or removed, or somebody else fetched the file
	}
	l.room.release()
	l.leavePlace()
}

// errExited is the outcome of a download whose goroutine was ended from within
// a callback, as testing.T.FailNow does.
var errExited = errors.New("a callback ended the download's goroutine")

// finishAnyway, deferred, finishes the download if its goroutine ends before it
// did.
func (d *Download) finishAnyway() {
	d.mu.Lock()
	over := d.over
	d.mu.Unlock()
	if !over {
		d.finish(Result{}, errExited)
	}
}

// finish sets the outcome, calls the finished hook and ends all waits.
func (d *Download) finish(result Result, err error) {
	defer d.site.gone(d)
	d.mu.Lock()
	if errors.Is(err, ErrInterrupted) && d.stop == ErrCanceled {
		err = ErrCanceled // asked for after the interruption, and before its end
	}
	result.Attempts = d.attempts
	d.state, d.over, d.err, d.result = StateDone, true, err, &result
	d.abort = nil // it is part of what the goroutine has held
	d.mu.Unlock()
	d.site.leave(d)
	d.logOutcome(result, err)
	if err == nil {
		if err := d.observers.tellEnd(d, result.Bytes); err != nil {
			d.cfg.logger.Warn("progress function failed after the download", "name", d.name, "error", err)
		}
	}
	if d.cfg.hooks.Finished != nil {
		if err := guard("finished hook", func() { d.cfg.hooks.Finished(d) }); err != nil {
			d.cfg.logger.Error("finished hook failed", "name", d.name, "error", err)
		}
	}
}

func (d *Download) logOutcome(result Result, err error) {
	switch {
	case errors.Is(err, ErrCanceled), errors.Is(err, ErrInterrupted):
		d.cfg.logger.Info("download stopped", "name", d.name, "reason", err)
	case err != nil:
		d.cfg.logger.Warn("download failed", "name", d.name, "error", err)
	case result.Origin == OriginFetched, result.Origin == OriginResumed:
		d.cfg.logger.LogAttrs(context.Background(), slog.LevelInfo, "downloaded", // no memory when nobody listens
			slog.String("name", d.name), slog.Int64("bytes", result.Bytes), slog.Duration("elapsed", result.Elapsed))
	default:
		d.cfg.logger.LogAttrs(context.Background(), slog.LevelDebug, "found", slog.String("name", d.name), slog.Int64("bytes", result.Bytes))
	}
}

func (d *Download) enter(s State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = s
}

func (d *Download) countAttempt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attempts++
}
