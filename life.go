package dlmanager

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/transfer"
)

// step is one state of a download's life; it returns the next one, nil at the end.
type step func() step

// life is what a running download holds. Only its goroutine uses it.
type life struct {
	*Download
	ctx     context.Context
	started time.Time

	release func() // gives back the place in the queue
	partial *fs.Partial
	room    *room // what is reserved in the directory
	fetched transfer.Result
	asked   *url.URL // with the credentials for it; nil: not known yet
	tries   Attempt
	wait    time.Duration // before the next request

	failure error
}

// live runs the download from its start to its outcome.
func (d *Download) live() {
	ctx, abort := context.WithCancelCause(context.Background())
	defer abort(nil)
	d.mu.Lock()
	d.abort = abort
	stop := d.stop
	d.mu.Unlock()
	if stop != nil {
		abort(stop) // it was asked to end before it began
	}
	l := &life{Download: d, ctx: ctx, started: time.Now(), release: func() {}}
	defer d.finishAnyway()
	defer l.giveBack()
	for next := l.begin; next != nil; {
		next = next()
	}
}

// begin → queue, or failed.
func (l *life) begin() step {
	if err := l.announce(); err != nil {
		return l.fail(err)
	}
	if l.url == nil {
		u, err := parseURL(l.raw)
		if err != nil {
			return l.fail(err)
		}
		l.url = u
	}
	return l.queue
}

// announce calls the started hook.
func (d *Download) announce() error {
	if d.cfg.hooks.Started == nil {
		return nil
	}
	return guard("started hook", func() { d.cfg.hooks.Started(d) })
}

// queue → create, transfer (when it is not the first time), succeed (somebody
// else has fetched it), or failed.
func (l *life) queue() step {
	release, there, err := l.site.admit(l.ctx, l.Download)
	if err != nil {
		return l.fail(err)
	}
	if there != nil {
		return l.found(*there)
	}
	l.release = release
	if l.partial != nil {
		return l.transfer
	}
	return l.create
}

// found → succeed, or failed.
func (l *life) found(info fs.Info) step {
	result, err := l.Download.found(info)
	if err != nil {
		return l.fail(err)
	}
	return l.succeed(result)
}

// found reports a file that is there to the observers.
func (d *Download) found(info fs.Info) (Result, error) {
	d.meter.total.Store(info.Size)
	d.meter.current.Store(info.Size)
	result := Result{Origin: OriginCached, Bytes: info.Size, Verified: true}
	return result, d.observers.notify(d, info.Size, info.Size)
}

// create → transfer, or failed.
func (l *life) create() step {
	partial, err := l.site.create(l.Download)
	if err != nil {
		return l.fail(err)
	}
	l.partial = partial
	return l.transfer
}

// transfer → land, reconsider, or failed.
func (l *life) transfer() step {
	l.enter(StateTransferring)
	if err := l.checkPartial(); err != nil {
		return l.fail(err)
	}
	if err := l.findCredentials(); err != nil {
		return l.fail(err)
	}
	client, idle := l.client()
	defer idle()
	l.countAttempt()
	before := l.fetched
	var err error
	l.fetched, err = transfer.Fetch(l.ctx, transfer.Request{
		URL: l.asked, Header: l.cfg.header, UserAgent: l.cfg.userAgent, After: &before,
		MinSize: l.cfg.minSize, MaxSize: l.cfg.maxSize, Stall: l.cfg.stall, Client: client,
	}, l)
	if err != nil {
		return l.reconsider(fromTransfer(err))
	}
	return l.land
}

// errChanged is the outcome when somebody else has written to the partial file.
var errChanged = errors.New("somebody changed the partial file while it was being written")

// checkPartial begins anew if the partial file is not what was stored: it may
// have lain there for a while.
func (l *life) checkPartial() error {
	size, _, err := l.partial.Stat()
	if err != nil || size == l.fetched.N {
		return err
	}
	l.fetched = transfer.Result{}
	return l.partial.Empty()
}

// reconsider → pause, or failed.
func (l *life) reconsider(err error) step {
	wait, again := l.strategyOn(err)
	if !again {
		return l.fail(err)
	}
	l.cfg.logger.Warn("request failed, there will be another one", "name", l.name, "error", err, "attempt", l.tries.Number, "wait", wait)
	if hook := l.cfg.hooks.Retrying; hook != nil {
		if err := guard("retrying hook", func() { hook(l.Download, l.tries, wait) }); err != nil {
			return l.fail(err)
		}
	}
	l.wait = wait
	return l.pause
}

// strategyOn asks the strategy what to do about err. Only the network and the
// server get another chance: a full disk or a cancelled download does not.
func (l *life) strategyOn(err error) (wait time.Duration, again bool) {
	status, refused := errors.AsType[*StatusError](err)
	if _, cut := errors.AsType[*TransferError](err); !cut && !refused {
		return 0, false
	}
	if refused && status.RetryAfter > 0 {
		l.site.holdOff(status.URL, time.Now().Add(status.RetryAfter))
	}
	l.tries.Number++
	l.tries.Barren++
	l.tries.Err = err
	if l.fetched.N > l.tries.Offset {
		l.tries.Offset, l.tries.Barren = l.fetched.N, 0
	}
	if guardErr := guard("strategy", func() { wait, again = l.cfg.strategy.Next(l.tries) }); guardErr != nil {
		l.cfg.logger.Error("strategy failed", "name", l.name, "error", guardErr)
		return 0, false
	}
	if refused {
		wait = max(wait, status.RetryAfter)
	}
	return wait, again
}

// pause → queue, or failed. Who waits leaves its place to another.
func (l *life) pause() step {
	l.enter(StateWaiting)
	l.release()
	l.release = func() {}
	timer := time.NewTimer(l.wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		l.enter(StateQueued)
		return l.queue
	case <-l.ctx.Done():
		return l.fail(context.Cause(l.ctx))
	}
}

// client returns the HTTP client and what gives its idle connections up. One
// that is not shared with other downloads leaves none behind.
func (l *life) client() (client *http.Client, idle func()) {
	if l.cfg.client != nil {
		return l.cfg.client, func() {}
	}
	client = &http.Client{Transport: transfer.NewTransport()}
	return client, client.CloseIdleConnections
}

// Start is told by the transfer that bytes are about to come, from the offset
// at: 0 when the file begins, or begins anew.
func (l *life) Start(head transfer.Head, at int64) error {
	if at == 0 && l.fetched.N > 0 {
		if err := l.partial.Empty(); err != nil {
			return err
		}
	}
	l.fetched.Head, l.fetched.N = head, at
	if err := l.reserve(max(head.Total, at)); err != nil {
		return err
	}
	l.meter.start(at, head.Total, time.Now())
	return l.observers.notify(l.Download, at, head.Total)
}

// reserve makes room for n bytes in all.
func (l *life) reserve(n int64) (err error) {
	if l.room != nil {
		return l.room.grow(l.ctx, n)
	}
	l.room, err = l.site.reserve(l.ctx, l.Download, n)
	return err
}

// WriteAt stores what the transfer has received.
func (l *life) WriteAt(b []byte, off int64) (int, error) {
	head := &l.fetched.Head
	if !head.Exact {
		if err := l.room.grow(l.ctx, off+int64(len(b))); err != nil {
			return 0, err
		}
	}
	n, err := l.partial.WriteAt(b, off)
	if err != nil {
		return n, err
	}
	l.meter.advance(int64(n), time.Now())
	current := off + int64(n)
	if current > head.Total && !head.Exact {
		head.Total = -1 // the hint was wrong
		l.meter.total.Store(-1)
	}
	return n, l.observers.notify(l.Download, current, head.Total)
}

// land → succeed, or failed. From here on the download cannot be cancelled.
func (l *life) land() step {
	l.enter(StateLanding)
	if err := l.reportEnd(); err != nil {
		return l.fail(err)
	}
	size, modTime, err := l.partial.Stat()
	if err == nil && size != l.fetched.N {
		err = errChanged
	}
	if err != nil {
		return l.fail(err)
	}
	if l.ctx.Err() != nil {
		return l.fail(context.Cause(l.ctx))
	}
	if err := l.partial.Commit(l.cfg.sync); err != nil {
		return l.fail(err)
	}
	result := Result{
		Origin: OriginFetched, Bytes: l.fetched.N, CRC32C: l.fetched.CRC32C,
		ETag: l.fetched.ETag, LastModified: l.fetched.LastModified, FinalURL: l.fetched.FinalURL,
		DispositionName: l.fetched.DispositionName, Verified: l.fetched.Proven,
	}
	l.site.landed(l.Download, landing{room: l.room, modTime: modTime, result: result})
	l.room = nil
	if l.cfg.sync == SyncDir {
		if err := l.partial.SyncName(); err != nil {
			return l.fail(err) // the file is there and whole, but that may not outlast a power loss
		}
	}
	return l.succeed(result)
}

// reportEnd makes the last report (n, n), unless the last write made it.
func (l *life) reportEnd() error {
	n := l.fetched.N
	if n == l.fetched.Total && n > 0 {
		return nil
	}
	l.meter.total.Store(n)
	if n == 0 && l.fetched.Total == 0 {
		return nil // the first report was the last
	}
	return l.observers.notify(l.Download, n, n)
}

func (l *life) succeed(result Result) step {
	l.finish(result, nil)
	return nil
}

// fail is the one door through which errors leave.
func (l *life) fail(err error) step {
	l.failure = err
	return l.failed
}

func (l *life) failed() step {
	err := l.failure
	if l.partial != nil {
		if left := l.partial.Cancel(); left != nil {
			err = errors.Join(err, left)
		}
	}
	l.finish(Result{}, err)
	return nil
}

// finish gives back what is held and sets the outcome.
func (l *life) finish(result Result, err error) {
	l.giveBack()
	result.Elapsed = time.Since(l.started)
	l.Download.finish(result, err)
}

// giveBack gives back what is held. A second call does nothing.
func (l *life) giveBack() {
	if l.partial != nil {
		_ = l.partial.Cancel() // it has landed, or was removed, or somebody else fetched the file
	}
	l.room.release()
	l.release()
	l.release = func() {}
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
	d.state, d.over, d.err, d.result = StateDone, true, err, result
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
	case result.Origin == OriginFetched:
		d.cfg.logger.Info("downloaded", "name", d.name, "bytes", result.Bytes, "elapsed", result.Elapsed)
	default:
		d.cfg.logger.Debug("found", "name", d.name, "bytes", result.Bytes)
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
