package dlmanager

import (
	"context"
	"errors"
	"sync"
)

// dirFlight is the making of one directory, on behalf of all in this process who ask
// for it meanwhile. It has a goroutine of its own, and ends when the last of them
// has left.
type dirFlight struct {
	ask    *dirAsk // the first one's
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when all below stands, but for what a mutex guards
	result Result
	err    error
	held   *Dir // keeps the directory from being evicted until all have opened it; nil: there is none

	callers int // guarded by DownloadManager.mu

	mu       sync.Mutex // guards progress
	progress []ProgressFunc
}

// fly joins the flight that makes the directory, or begins one, and returns the
// directory that it has made. errLostRace says that the caller is to look again.
func (m *DownloadManager) fly(ctx context.Context, a *dirAsk) (*Dir, error) {
	f, mine, err := m.flightFor(a)
	if err != nil {
		return nil, err
	}
	if mine {
		defer m.leaveFlight(f)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if !mine {
		return nil, errLostRace
	}
	if f.err != nil {
		return nil, f.err
	}
	dir, info, err := a.openAny(ctx)
	if err != nil {
		return nil, err
	}
	dir.result = f.result
	a.use(info)
	return dir, nil
}

// flightFor returns the flight that makes the directory, and whether it makes the
// one that is asked for; else its end is to be waited for.
func (m *DownloadManager) flightFor(a *dirAsk) (f *dirFlight, mine bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, false, ErrClosed
	}
	f = m.flights[a.id]
	if f == nil {
		f = &dirFlight{ask: a, done: make(chan struct{})}
		f.ctx, f.cancel = context.WithCancelCause(context.Background())
		m.flights[a.id] = f
		m.leasing.Add(1) // the caller's own is counted, so that nobody waits yet
		go f.run()
	} else if !f.ask.serves(a) {
		return f, false, nil
	}
	f.callers++
	if fn := a.probe.cfg.progress; fn != nil {
		f.mu.Lock()
		f.progress = append(f.progress, fn)
		f.mu.Unlock()
	}
	return f, true, nil
}

// serves reports whether who asks for the other can have what this one gets.
func (a *dirAsk) serves(other *dirAsk) bool {
	mine, its := a.probe.cfg, other.probe.cfg
	return identity(a.probe.url) == identity(other.probe.url) && mine.terms == its.terms &&
		mine.checksum == its.checksum && mine.lock == its.lock && a.archive == other.archive && (mine.force || !its.force)
}

// leaveFlight is told that a caller leaves. The last one takes the flight with him:
// nobody joins it any more, and who comes waits until it is out of the way.
func (m *DownloadManager) leaveFlight(f *dirFlight) {
	m.mu.Lock()
	f.callers--
	last := f.callers == 0
	if last {
		m.forgetFlight(f)
	}
	m.mu.Unlock()
	if !last {
		return
	}
	f.cancel(ErrInterrupted)
	select {
	case <-f.done:
		f.letGo()
	default: // it sees itself that nobody is there any more
	}
}

// forgetFlight needs mu.
func (m *DownloadManager) forgetFlight(f *dirFlight) {
	if m.flights[f.ask.id] == f {
		delete(m.flights, f.ask.id)
	}
}

// run makes the directory.
func (f *dirFlight) run() {
	m := f.ask.m
	defer m.leasing.Done()
	defer f.cancel(nil)
	var result Result
	var held *Dir
	err := errFillerExited
	defer func() { f.end(result, held, err) }()
	if panicked := guard("making the directory", func() { result, held, err = f.work() }); panicked != nil {
		err = panicked
	}
}

// errFillerExited is the outcome when the filler calls runtime.Goexit, as a failed
// assertion of a test does.
var errFillerExited = errors.New("the filler has ended its goroutine (runtime.Goexit): return an error instead")

// end gives the flight's outcome to all who wait for it.
func (f *dirFlight) end(result Result, held *Dir, err error) {
	m := f.ask.m
	m.mu.Lock()
	m.forgetFlight(f)
	f.result, f.held, f.err = result, held, err
	close(f.done)
	left := f.callers == 0
	m.mu.Unlock()
	if left {
		f.letGo()
	}
}

// letGo ends the flight's own lease.
func (f *dirFlight) letGo() {
	if f.held != nil {
		_ = f.held.file.Close() // read-only: nothing to lose
	}
}

// report tells all callers' progress functions how far the archive is.
func (f *dirFlight) report(d *Download, current, total int64) {
	f.mu.Lock()
	all := f.progress
	f.mu.Unlock()
	for _, fn := range all {
		fn(d, current, total)
	}
}

// awaitFlights waits until no directory is being made.
func (m *DownloadManager) awaitFlights(ctx context.Context) error {
	for f := m.anyFlight(); f != nil; f = m.anyFlight() {
		select {
		case <-f.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (m *DownloadManager) anyFlight() *dirFlight {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.flights {
		return f
	}
	return nil
}

// endFlights interrupts what makes directories.
func (m *DownloadManager) endFlights(cause error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.flights {
		f.cancel(cause)
	}
}
