package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/batch"
)

const batchLong = `Fetch all links of a list into the cache. The list is a text with a link on each
line, behind which the name in the cache and a checksum may stand:

  # a comment
  https://example.com/a.tgz
  https://example.com/b.tgz tools/b.tgz sha256:…
  {"url": "https://example.com/c", "name": "my c", "mirrors": ["https://…"]}

Stop it at any time, with Ctrl-C or a kill: the same command goes on. What fails
stops nothing; --retry-failed tries it again. Lines may be added to the list at
its end, also between two calls.

What is done and what failed is kept in a job: --job DIR, or .dlm/jobs in the
cache directory, one for each list, -o and --layout. A job that ended without failures
is removed. A list from stdin (-) has a job only with --job.`

const batchExamples = `  # Fetch all of a list; after a stop or a kill, the same command goes on
  dlm batch links.txt

  # Put copies into a directory, as DIR/HOST/PATH; the cache may be smaller than
  # the list
  dlm batch -o mirror/ links.txt

  # What failed again, and what came of each link
  dlm batch --retry-failed --report report.jsonl links.txt

  # For an hour, with 16 files at once and 2 of one host
  dlm batch -j 16 --per-host 2 --max-time 1h links.txt`

// batchCommand is one call of "dlm batch".
type batchCommand struct {
	getCommand
	flags batchFlags
}

func newBatchCommand(u *ui) *cobra.Command {
	b := &batchCommand{getCommand: getCommand{ui: u}}
	cmd := &cobra.Command{
		Use:     "batch [flags] FILE|-",
		Short:   "Fetch a list of links, and go on after a stop",
		Long:    batchLong,
		Example: batchExamples,
		Args:    oneList,
		RunE: func(cmd *cobra.Command, args []string) error {
			return b.run(cmd.Context(), args[0])
		},
	}
	flags := newFlagSet(cmd.Flags())
	b.flags.register(flags, &b.placing)
	flags.group("What the files are")
	b.content.lock.register(flags)
	b.cache.register(flags)
	b.fresh.register(flags)
	b.transfer.register(flags)
	b.output.registerProgress(flags)
	b.flags.adapt(&b.getCommand)
	usageByGroup(cmd, flags)
	completeValues(cmd)
	return cmd
}

func oneList(_ *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return &usageError{"dlm batch takes one list", "dlm batch links.txt fetches its links, and - reads them from stdin; see dlm batch --help"}
}

func (b *batchCommand) run(ctx context.Context, list string) error {
	b.ui.setQuiet(b.output.quiet)
	r := &batchRun{batchCommand: b, evicted: newEvictions()}
	if err := r.prepare(list); err != nil {
		return err
	}
	defer r.list.Close() // read-only: nothing to lose
	m, err := dlmanager.NewDownloadManager(r.dir, r.opts...)
	if err != nil {
		return err
	}
	defer b.close(m)
	r.m = m
	if err := r.openJob(); err != nil {
		return err
	}
	return errors.Join(r.work(ctx), r.job.Close())
}

// batchRun is the work of one call.
type batchRun struct {
	*batchCommand
	dir      string // of the cache
	opts     []dlmanager.Option
	target   string // absolute path that copies go below; "": none are made
	jobDir   string // "": nothing is kept
	listPath string // absolute; "": stdin
	list     *batch.LinkList
	partly   bool              // the list was read only partly when the batch ended
	stdin    *cancelableReader // nil: the list is a file
	naming   batch.Naming
	m        *dlmanager.DownloadManager
	job      *batch.Job
	report   *batchReport
	evicted  *evictions
	landed   received
	show     *follower
}

// prepare checks all that can be wrong with the call before it touches the disk.
func (r *batchRun) prepare(list string) error {
	var err error
	if err = r.flags.check(&r.placing); err != nil {
		return err
	}
	if err = r.fresh.check(); err != nil {
		return err
	}
	if r.dir, err = r.cache.locate(); err != nil {
		return err
	}
	r.flags.settle(&r.transfer, list)
	r.opts, err = r.options(dlmanager.Hooks{LimitExceeded: r.warnOfLimit, Stale: r.warnOfStale, Evicted: r.evicted.evict})
	if err != nil {
		return err
	}
	r.naming = batch.Tree
	if r.flags.layout.word == layoutFlat {
		r.naming = batch.Flat
	}
	if err = r.locate(list); err != nil {
		return err
	}
	return r.openList(list)
}

// openList opens the list, so that a path that leads to none costs nothing.
func (r *batchRun) openList(list string) error {
	if list == fromStdin {
		r.stdin = newCancelableReader(os.Stdin)
		r.list = batch.NewLinkList(r.stdin, "stdin")
		return nil
	}
	l, err := batch.OpenLinkList(list)
	if err != nil {
		return &usageError{text: "the list cannot be read: " + err.Error()}
	}
	r.list = l
	return nil
}

// work fetches what there is to fetch, and says what came of it.
func (r *batchRun) work(ctx context.Context) error {
	before := r.job.Stats()
	r.evicted.load(r.job)
	var err error
	if r.report, err = openReport(r.flags.report, before.Links > 0, r.ui.out); err != nil {
		return err
	}
	if r.flags.retryFailed {
		_, err = r.job.RetryFailed()
	} else {
		err = r.report.writeEarlier(r.job)
	}
	if err != nil {
		return errors.Join(err, r.report.close())
	}
	ended, err := r.fetch(ctx, before)
	if err = errors.Join(err, r.report.close()); err == nil {
		return r.conclude(ctx, ended)
	}
	if r.show != nil { // something was done
		r.summarize(ended, r.job.Stats(), r.evicted.counted())
	}
	return err
}

// fetch runs the job until it is done or was stopped.
func (r *batchRun) fetch(ctx context.Context, before batch.JobStats) (batch.Report, error) {
	added, err := r.readList(ctx)
	if err != nil {
		return batch.Report{Reason: batch.ReasonStopped}, unlessEnded(ctx, err)
	}
	if r.stdin == nil {
		r.noteResumed(before)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.show = r.follow(newBatchBoard(r.job, r.m, &r.landed, time.Now()).look)
	ended, err := r.job.Run(ctx, r.m, r.limits(), r.told(stop), r.runOptions()...)
	r.show.end()
	if saved := r.evicted.save(r.job, true); err == nil {
		err = saved
	}
	if unread := r.endList(ctx, added); err == nil {
		err = unread
	}
	if early, ok := errors.AsType[*earlyEnd](context.Cause(ctx)); ok && err == nil {
		err = early
	}
	switch s := r.job.Stats(); {
	case err != nil:
	case r.partly && ended.Reason == batch.ReasonDone:
		ended.Reason = batch.ReasonStopped // before more came
	case !r.partly && ended.Stopped == 0 && s.Left+s.Untold == 0:
		ended.Reason = batch.ReasonDone // the list has come to its end just then
	}
	return ended, err
}

// readList lets the job read the list, which goes on while it runs; what stdin brings
// is fetched while it comes. added waits for its end.
func (r *batchRun) readList(ctx context.Context) (added func() (batch.ListReport, error), err error) {
	if !r.flags.acceptChanges || r.stdin != nil {
		return r.job.StartList(ctx, r.list)
	}
	report, err := r.job.AcceptList(ctx, r.list) // what the list has no more is not to be fetched
	return func() (batch.ListReport, error) { return report, err }, err
}

// endList waits for the end of the list. That it was not read to its end because the
// batch was stopped is no error.
func (r *batchRun) endList(ctx context.Context, added func() (batch.ListReport, error)) error {
	if r.stdin != nil {
		r.stdin.cancel()
	}
	_, err := added()
	r.partly = err != nil
	if r.stdin != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return unlessEnded(ctx, err)
}

// unlessEnded is err, or nil if it only says that ctx has ended.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (r *batchRun) limits() batch.Limits {
	return batch.Limits{
		Time: time.Duration(r.transfer.maxTime), Files: r.flags.maxFiles.n,
		Bytes: int64(r.flags.maxBytes), Errors: r.flags.maxErrors.n,
	}
}

func (r *batchRun) runOptions() []batch.Option {
	opts := []batch.Option{
		batch.WithDrain(time.Duration(r.flags.drain)),
		batch.WithDownload(r.fresh.once()...),
	}
	if r.target != "" {
		opts = append(opts, batch.WithThen(r.placeCopy))
	}
	return opts
}

// earlyEnd is why a batch stops by itself: no space is left, for which one link after
// the other would fail, or the report cannot be written.
type earlyEnd struct{ error }

func (e *earlyEnd) Unwrap() error { return e.error }

// tell tells who wants to know what came of a link.
func (r *batchRun) tell(o *batch.Outcome[batch.Link]) error {
	if r.show.listener == nil && r.report.out == nil {
		return nil
	}
	j := r.outcomeJob(o)
	r.show.finished(j)
	return r.report.write(j, o.Line)
}

// told returns what is done with each outcome.
func (r *batchRun) told(stop context.CancelCauseFunc) func(batch.Outcome[batch.Link]) {
	return func(o batch.Outcome[batch.Link]) {
		if o.State != batch.Failed && !o.There() {
			return // it comes again
		}
		r.landed.add(o.Result.WireBytes)
		if o.There() && r.target == "" {
			r.evicted.land(o.Path)
			if err := r.evicted.save(r.job, false); err != nil {
				stop(&earlyEnd{err})
			}
		}
		if err := r.tell(&o); err != nil {
			stop(&earlyEnd{&hinted{err, "the report lacks what is over by now: --restart begins it anew, and fetches nothing again that is there"}})
		}
		if o.Err != nil && isDisk(o.Err) && isNoSpace(o.Err) {
			stop(&earlyEnd{o.Err})
		}
	}
}
