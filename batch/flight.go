package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dlmanager/dlmanager"
)

// flight is one loop over outcomes: a [taker] takes items, and each item that is not
// there at once has a goroutine that waits for its download.
type flight[T any] struct {
	cfg   config
	m     *dlmanager.DownloadManager
	line  *collector[ended[T]]
	group []Outcome[T] // that is given out; only who gives out uses it

	taking    context.Context // its end: nothing more is taken, what waits is interrupted
	stop      context.CancelCauseFunc
	working   context.Context // its end: what is in hand is interrupted
	interrupt context.CancelCauseFunc
	work      sync.WaitGroup
	misses    atomic.Int64 // files that were not there, one after the other
	panicked  any          // what the sequence panicked with; read when line has ended
}

// errLeft is why downloads end when the loop was left.
var errLeft = errors.New("the loop over the outcomes was left")

func newFlight[T any](ctx context.Context, m *dlmanager.DownloadManager, ordered bool, cfg config) *flight[T] {
	f := &flight[T]{cfg: cfg, m: m, line: newCollector[ended[T]](ordered, &cfg)}
	f.taking, f.stop = context.WithCancelCause(ctx)
	f.working, f.interrupt = context.WithCancelCause(context.WithoutCancel(ctx))
	return f
}

func (f *flight[T]) start(from supply[T]) {
	f.work.Go(f.watch)
	f.work.Go(newTaker(f, from).run)
}

// close ends what is still going on and waits for it.
func (f *flight[T]) close() {
	f.stop(errLeft)
	f.interrupt(errLeft)
	f.work.Wait()
}

// rethrow panics as the sequence has.
func (f *flight[T]) rethrow() {
	if f.panicked != nil {
		panic(f.panicked)
	}
}

// watch turns the end of the context into the end of what is in hand.
func (f *flight[T]) watch() {
	select {
	case <-f.taking.Done():
	case <-f.cfg.abort.Done():
		f.stop(context.Cause(f.cfg.abort))
	}
	f.line.stop()
	grace := time.NewTimer(f.cfg.drain)
	defer grace.Stop()
	select {
	case <-grace.C:
	case <-f.cfg.abort.Done():
	case <-f.working.Done():
	}
	f.interrupt(context.Cause(f.taking))
}

// follow waits for the download in a goroutine of its own.
func (f *flight[T]) follow(n uint64, item Item[T], d *dlmanager.Download) {
	f.work.Go(func() {
		f.wait(d)
		e := ended[T]{item: item, download: d}
		if f.cfg.then != nil { // which may take a while, and others end meanwhile
			out := f.outcome(&e)
			e = ended[T]{outcome: &out}
		}
		f.end(n, e)
	})
}

// begun sees to the outcome of an item's download, and reports whether it is there: it
// may be over.
func (f *flight[T]) begun(one *taken[T], d *dlmanager.Download, there *lane[ended[T]]) bool {
	if f.cfg.then != nil || d.IsRunning() {
		f.follow(one.n, one.item, d)
		return false
	}
	e := ended[T]{item: one.item, download: d}
	if d.Wait() != nil { // which waits for its finished hook
		f.end(one.n, e)
		return false
	}
	f.line.put(there, one.n, e)
	return true
}

// end gives what an item has come to to the line.
func (f *flight[T]) end(n uint64, e ended[T]) {
	f.line.finish(n, e, e.failed())
}

// ended is an item that came to its end.
type ended[T any] struct {
	item     Item[T]
	download *dlmanager.Download // is over
	outcome  *Outcome[T]         // nil: the download says it
}

// failed reports whether it has come to no good end.
func (e *ended[T]) failed() bool {
	if e.outcome != nil {
		return e.outcome.Err != nil
	}
	return e.download.Err() != nil
}

// outcomes are those of items. They are valid until the next call. Many are made out
// together: what does that is in the processor's caches then.
func (f *flight[T]) outcomes(all []ended[T]) []Outcome[T] {
	clear(f.group) // or the array keeps them
	f.group = f.group[:0]
	for i := range all {
		f.group = append(f.group, f.outcome(&all[i]))
	}
	return f.group
}

func (f *flight[T]) outcome(e *ended[T]) Outcome[T] {
	if e.outcome != nil {
		return *e.outcome
	}
	o := Outcome[T]{Item: e.item}
	f.settle(&o, e.download)
	return o
}

// name returns what the link's file is called.
func (f *flight[T]) name(link *Link) (string, error) {
	if link.Name != "" {
		return link.Name, nil
	}
	return f.cfg.naming(link.URL)
}

// download starts or joins the link's download. After a long row of files that were not
// there it does not look for the next one before.
func (f *flight[T]) download(link *Link, name string) *dlmanager.Download {
	opts := slices.Clip(f.cfg.opts)
	if link.Checksum != "" {
		opts = append(opts, dlmanager.WithChecksum(link.Checksum))
	}
	if len(link.Mirrors) > 0 {
		opts = append(opts, dlmanager.WithMirrors(link.Mirrors...))
	}
	if link.Priority != 0 {
		opts = append(opts, dlmanager.WithPriority(link.Priority))
	}
	if f.misses.Load() >= longRow {
		return f.m.Enqueue(link.URL, name, opts...)
	}
	d := f.m.Download(link.URL, name, opts...)
	f.miss(d.IsRunning())
	return d
}

// miss is told whether a file was not there.
func (f *flight[T]) miss(missed bool) {
	if missed {
		f.misses.Add(1)
	} else if f.misses.Load() > 0 {
		f.misses.Store(0)
	}
}

// wait waits for the download, and interrupts it when its time is over: at once if
// it only waits for its turn.
func (f *flight[T]) wait(d *dlmanager.Download) {
	select {
	case <-d.Done():
		return
	case <-f.taking.Done():
	}
	if d.Progress().State != dlmanager.StateQueued {
		select {
		case <-d.Done():
			return
		case <-f.working.Done():
		}
	}
	d.Interrupt()
	<-d.Done()
}

// settle says how the download ended, and calls the function of [WithThen].
func (f *flight[T]) settle(o *Outcome[T], d *dlmanager.Download) {
	err := d.Err()
	o.Result = d.Result()
	o.Attempts, o.Bytes = o.Result.Attempts, o.Result.Bytes
	switch {
	case err == nil:
		f.there(o, d)
	case errors.Is(err, dlmanager.ErrInterrupted), errors.Is(err, dlmanager.ErrCanceled), errors.Is(err, dlmanager.ErrClosed):
		o.Err = err
		if f.taking.Err() != nil {
			o.Err = fmt.Errorf("%w: %w", err, context.Cause(f.taking))
		}
		if o.Attempts > 0 {
			o.State = Attempted
		}
	default:
		o.State, o.Err = Failed, err
		if status, ok := errors.AsType[*dlmanager.StatusError](err); ok {
			o.Status = status.Code
		}
	}
}

func (f *flight[T]) there(o *Outcome[T], d *dlmanager.Download) {
	o.State, o.Path = CacheHit, d.Dest()
	if o.Result.Origin == dlmanager.OriginFetched || o.Result.Origin == dlmanager.OriginResumed {
		o.State = Written
	} else {
		f.miss(false)
	}
	if f.cfg.then == nil {
		return
	}
	if err := f.callThen(o.Link, d); err != nil {
		o.State, o.Err = Failed, err
		if f.working.Err() != nil {
			o.State = Attempted // it was stopped, and comes again
		}
	}
}

// callThen turns a panic into an error: a mistake in it fails one item.
func (f *flight[T]) callThen(link Link, d *dlmanager.Download) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("function of WithThen panicked: %v", v)
		}
	}()
	return f.cfg.then(f.working, link, d)
}
