package dlmanager

import (
	"context"
	"errors"
	"net/http"
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
	head    transfer.Head
	fetched transfer.Result

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

// queue → create, or succeed (somebody else has fetched it), or failed.
func (l *life) queue() step {
	release, there, err := l.site.admit(l.ctx, l.Download)
	if err != nil {
		return l.fail(err)
	}
	if there != nil {
		return l.found(*there)
	}
	l.release = release
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

// transfer → land, or failed.
func (l *life) transfer() step {
	l.enter(StateTransferring)
	client, idle := l.client()
	defer idle()
	l.countAttempt()
	var err error
	l.fetched, err = transfer.Fetch(l.ctx, transfer.Request{
		URL: l.url, Header: l.cfg.header, UserAgent: l.cfg.userAgent,
		MinSize: l.cfg.minSize, MaxSize: l.cfg.maxSize, Stall: l.cfg.stall, Client: client,
	}, l)
	if err != nil {
		return l.fail(fromTransfer(err))
	}
	return l.land
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

// Start is told by the transfer that the body is about to come.
func (l *life) Start(head transfer.Head) error {
	l.head = head
	var err error
	if l.room, err = l.site.reserve(l.ctx, l.Download, max(head.Total, 0)); err != nil {
		return err
	}
	l.meter.start(head.Total, time.Now())
	return l.observers.notify(l.Download, 0, head.Total)
}

// WriteAt stores what the transfer has received.
func (l *life) WriteAt(b []byte, off int64) (int, error) {
	if !l.head.Exact {
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
	if current > l.head.Total && !l.head.Exact {
		l.head.Total = -1 // the hint was wrong
		l.meter.total.Store(-1)
	}
	return n, l.observers.notify(l.Download, current, l.head.Total)
}

// land → succeed, or failed. From here on the download cannot be cancelled.
func (l *life) land() step {
	l.enter(StateLanding)
	if err := l.reportEnd(); err != nil {
		return l.fail(err)
	}
	modTime, err := l.partial.ModTime()
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
		ETag: l.head.ETag, LastModified: l.head.LastModified, FinalURL: l.head.FinalURL,
		DispositionName: l.head.DispositionName, Verified: l.head.Proven,
	}
	l.site.landed(l.Download, landing{room: l.room, modTime: modTime, result: result})
	l.room = nil
	return l.succeed(result)
}

// reportEnd makes the last report (n, n), unless the last write made it.
func (l *life) reportEnd() error {
	n := l.fetched.N
	if n == l.head.Total && n > 0 {
		return nil
	}
	l.meter.total.Store(n)
	if n == 0 && l.head.Total == 0 {
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
	l.room.release()
	l.release()
	result.Elapsed = time.Since(l.started)
	l.Download.finish(result, err)
}

// finish sets the outcome, calls the finished hook and ends all waits.
func (d *Download) finish(result Result, err error) {
	d.mu.Lock()
	result.Attempts = d.attempts
	d.state, d.over, d.err, d.result = StateDone, true, err, result
	d.mu.Unlock()
	d.logOutcome(result, err)
	d.site.leave(d)
	if d.cfg.hooks.Finished != nil {
		if err := guard("finished hook", func() { d.cfg.hooks.Finished(d) }); err != nil {
			d.cfg.logger.Error("finished hook failed", "name", d.name, "error", err)
		}
	}
	d.site.gone(d)
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
