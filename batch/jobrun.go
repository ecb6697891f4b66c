package batch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dlmanager/dlmanager"
)

// Limits are when a run stops by itself. What is under way then ends as if the
// context had. 0: no limit.
type Limits struct {
	Time   time.Duration
	Files  int   // that are there; the run takes no more than that
	Bytes  int64 // that came; what is under way comes on top
	Errors int   // failures
}

// Reason says why a run ended.
type Reason int

const (
	ReasonDone    Reason = iota // nothing was left to do
	ReasonStopped               // the context ended, or that of WithAbort
	ReasonTime                  // the limits were reached
	ReasonFiles
	ReasonBytes
	ReasonErrors
	ReasonBroken // it could not go on: see the error
)

func (r Reason) String() string {
	return [...]string{
		"nothing is left to do", "stopped", "the time was over", "there were enough files",
		"there were enough bytes", "there were too many errors", "the job could not go on",
	}[r]
}

// Error makes a reason the cause of a context's end.
func (r Reason) Error() string { return r.String() }

// Report is what a run has done.
type Report struct {
	Reason  Reason
	Written int   // files that were fetched
	Cached  int   // files that were there
	Failed  int   // links that were given up
	Stopped int   // links that were under way, or about to be, when it stopped
	Bytes   int64 // that came; see [dlmanager.Result].WireBytes
	Left    int   // links to be fetched yet
}

var errRunning = errors.New("the job runs already")

// Run fetches what the job has, as [Each] does, until nothing is left, a limit is
// reached or ctx ends; what happens then is what [WithDrain] and [WithAbort] say,
// and what was stopped goes on with the next run. told, unless it is nil, is called
// with each outcome, one after the other, before it counts as done: when the
// process dies in it, the link comes again, and so do those that were told just
// before. The bad lines of a list are told as well.
//
// To be stopped is not an error; that is what keeps the job from going on: a disk
// that does not take its log (ReasonBroken), a list that was changed meanwhile
// ([ErrListChanged]), or a manager that was closed.
func (j *Job) Run(ctx context.Context, m *dlmanager.DownloadManager, limits Limits, told func(Outcome[Link]), opts ...Option) (Report, error) {
	r := newJobRun(j, limits, told, newConfig(opts).window)
	if err := r.begin(); err != nil {
		return Report{}, err
	}
	defer r.end()
	ctx, r.stop = context.WithCancelCause(ctx)
	defer r.stop(nil)
	if limits.Time > 0 {
		defer time.AfterFunc(limits.Time, func() { r.stop(ReasonTime) }).Stop()
	}
	r.ctx = ctx
	defer context.AfterFunc(ctx, r.wake)()
	abort := newConfig(opts).abort
	defer context.AfterFunc(abort, func() { r.stop(context.Cause(abort)) })()
	stopSaving := r.saveNowAndThen()
	defer stopSaving()
	opts = append(append([]Option{}, opts...), WithNaming(r.name))
	if limits.Bytes > 0 || limits.Errors > 0 {
		opts = append(opts, atOnce) // each may be the last one
	}
	for group := range groups(ctx, m, supply[jobItem]{r.next, func() {}}, false, opts) {
		group.give(len(group.outcomes))
		r.finish(group.outcomes)
	}
	stopSaving()
	r.fail(j.Sync())
	return r.conclude()
}

// jobRun is one Run. The job's mutex guards what changes, but for the report, which
// belongs to the goroutine of Run.
type jobRun struct {
	j      *Job
	limits Limits
	told   func(Outcome[Link])
	ctx    context.Context
	stop   context.CancelCauseFunc

	share    int // of one host under way
	hosts    map[string]*jobHost
	latest   *jobHost            // that was asked for last
	hand     map[uint32]*jobHost // what is under way
	named    []named             // those without a name given out last; only who takes items uses it
	asked    int                 // of named, so many were asked for
	released []uint32            // of hosts that have room again
	records  []record            // of a group, and their bodies: made once
	bodies   []byte
	there    int   // files, as far as they are noted
	err      error // why it cannot go on
	report   Report
}

func newJobRun(j *Job, limits Limits, told func(Outcome[Link]), window int) *jobRun {
	return &jobRun{
		j: j, limits: limits, told: told, share: max(1, window/hostShare),
		hosts: map[string]*jobHost{}, hand: map[uint32]*jobHost{},
	}
}

// flushEvery is how often what is done is flushed: that much of it is looked at
// again after a loss of power.
const flushEvery = time.Second

func (r *jobRun) begin() error {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	switch {
	case r.j.closed:
		return errJobClosed
	case r.j.running:
		return errRunning
	}
	r.j.running = true
	return nil
}

// end queues again what has not come to its end, after a panic too, or was held
// back, all in its order.
func (r *jobRun) end() {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	for i := range r.hand {
		r.requeue(i)
	}
	r.j.state.requeueAll()
	r.j.running = false
}

// requeue leaves what is under way to the next run. It needs mu.
func (r *jobRun) requeue(index uint32) {
	if s := r.j.state; s.entries.at(index).state == entryRunning {
		s.set(index, entryQueued)
	}
}

func (r *jobRun) wake() {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	r.j.changed.Broadcast()
}

// saveNowAndThen flushes the job until the function it returns is called.
func (r *jobRun) saveNowAndThen() (stop func()) {
	done := make(chan struct{})
	var saving sync.WaitGroup
	saving.Go(func() {
		tick := time.NewTicker(flushEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				r.fail(r.j.Sync())
			case <-done:
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		saving.Wait()
	})
}

// fail stops the run because of an error.
func (r *jobRun) fail(err error) {
	if err == nil {
		return
	}
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	r.failLocked(err)
}

func (r *jobRun) failLocked(err error) {
	if r.err == nil {
		r.err = err
	}
	r.stop(ReasonBroken)
}

// conclude says how it ended.
func (r *jobRun) conclude() (Report, error) {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	c := &r.j.state.counts
	r.report.Left = c[entryQueued] + c[entryRunning]
	reason, limited := errors.AsType[Reason](context.Cause(r.ctx))
	switch {
	case r.err != nil:
		r.report.Reason = ReasonBroken
	case r.report.Left+c[entryBad] == 0 && r.report.Stopped == 0 && (r.j.adding == 0 || r.ctx.Err() == nil): // else more may have come
		r.report.Reason = ReasonDone
	case limited:
		r.report.Reason = reason
	default:
		r.report.Reason = ReasonStopped
	}
	return r.report, r.err
}
