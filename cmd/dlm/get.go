package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/dlmanager/dlmanager"
)

const getLong = `Fetch files into the cache and print where they are, one absolute path for each
URL, in the order of the URLs. A file that is there already is not fetched again.
An empty line stands for a file that failed; the reason is on stderr, and the
exit code tells its kind.

A file gets its name only when it is whole, and has the checksum that was asked
for. What a call leaves unfinished, the next one goes on from, if the server
proves that it is still the same file. Files are kept until the cache
exceeds its limit; then those that were used longest ago are removed.

With --unpack the file is an archive, and what is printed is the directory that it
was unpacked to, once for all who ask for it. It is shared: copy it with -o to change
what is in it. An archive that would reach out of the directory, or that comes to
far more than it should, is refused.`

const getExamples = `  # Fetch a file, or find it in the cache, and use it
  tar xf "$(dlm get https://example.com/data.tar.gz)"

  # Fetch a program and run it
  "$(dlm get -x https://example.com/tool)" --version

  # Put a copy somewhere else; several into a directory
  dlm get -o bin/tool -x https://example.com/tool
  dlm get -o vendor/ https://example.com/a.zip https://example.com/b.zip

  # Unpack an archive, and use what is in it
  "$(dlm get --unpack https://example.com/go1.26.tar.gz)/go/bin/go" version
  dlm get --unpack --strip 1 -o sdk https://example.com/sdk.tar.xz

  # Only the right file; from another place if need be
  dlm get --checksum https://example.com/SHA256SUMS \
      --mirror https://mirror.example.org/data.tar.gz https://example.com/data.tar.gz

  # What each URL brought first, ever after; in a test run nothing else at all
  dlm get --lock dlm.lock https://example.com/latest/tool.tgz
  dlm get --lock dlm.lock --frozen https://example.com/latest/tool.tgz

  # Whatever the server has now; the file that is there if it is still that, or if
  # the server cannot be reached
  dlm get --revalidate --stale-if-error https://example.com/latest.zip

  # With credentials, which go to example.com and nowhere else; without --header
  # they are looked up in ~/.netrc
  dlm get --header @token.txt https://example.com/private.zip

  # Through a mirror, which wants credentials of its own
  dlm get --rewrite https://github.com/=https://mirror.example/gh/ \
      --header-for mirror.example=@token.txt https://github.com/o/r/releases/download/v1/x.zip`

// getCommand is one call of "dlm get".
type getCommand struct {
	ui        *ui
	placing   placeFlags
	unpacking unpackFlags
	content   contentFlags
	cache     cacheFlags
	fresh     freshFlags
	transfer  transferFlags
	output    outputFlags
}

func newGetCommand(u *ui) *cobra.Command {
	g := &getCommand{ui: u}
	cmd := &cobra.Command{
		Use:     "get [flags] URL...",
		Short:   "Fetch files into the cache and print their paths",
		Long:    getLong,
		Example: getExamples,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.run(cmd.Context(), args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := newFlagSet(cmd.Flags())
	g.placing.register(flags)
	g.unpacking.register(flags)
	g.content.register(flags)
	g.cache.register(flags)
	g.fresh.register(flags)
	g.transfer.register(flags)
	g.output.register(flags)
	usageByGroup(cmd, flags)
	completeValues(cmd)
	return cmd
}

func (g *getCommand) run(ctx context.Context, urls []string) error {
	p, m, err := g.open(urls)
	if err != nil {
		return err
	}
	ctx, cancel := g.bound(ctx)
	defer cancel()
	failed := g.fetchAll(ctx, m, p)
	g.close(m)
	if err := g.printResults(p); err != nil {
		return errors.Join(failed, err)
	}
	return failed
}

// open checks all that can be wrong with the call before it touches the disk.
func (g *getCommand) open(urls []string) (*plan, *dlmanager.DownloadManager, error) {
	g.ui.setQuiet(g.output.quiet)
	if err := g.unpacking.check(&g.placing); err != nil {
		return nil, nil, err
	}
	p, err := newPlan(urls, &g.placing, g.unpacking.unpack, g.output.json)
	if err != nil {
		return nil, nil, err
	}
	g.unpacking.prepare(p.jobs)
	if err := g.content.check(len(urls)); err != nil {
		return nil, nil, err
	}
	if err := g.fresh.check(); err != nil {
		return nil, nil, err
	}
	dir, err := g.cache.locate()
	if err != nil {
		return nil, nil, err
	}
	opts, err := g.options(dlmanager.Hooks{LimitExceeded: g.warnOfLimit, Retrying: g.warnOfRetry, Stale: g.warnOfStale})
	if err != nil {
		return nil, nil, err
	}
	m, err := dlmanager.NewDownloadManager(dir, opts...)
	return p, m, err
}

// bound ends the work when --max-time says so.
func (g *getCommand) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := time.Duration(g.transfer.maxTime)
	if limit <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, limit, &maxTimeError{limit})
}

func (g *getCommand) close(m *dlmanager.DownloadManager) {
	if err := m.Close(); err != nil {
		g.ui.failed("cache", err) // the files are there all the same
	}
}

func (g *getCommand) options(hooks dlmanager.Hooks) ([]dlmanager.Option, error) {
	opts, err := g.transfer.options()
	if err != nil {
		return nil, err
	}
	opts = append(opts, g.cache.options()...)
	opts = append(opts, g.fresh.options()...)
	content, err := g.content.options()
	if err != nil {
		return nil, err
	}
	opts = append(opts, content...)
	if g.output.json {
		opts = append(opts, dlmanager.WithSHA256())
	}
	opts = append(opts,
		dlmanager.WithMode(g.placing.mode()),
		dlmanager.WithHooks(hooks),
	)
	if g.output.verbose {
		handler := slog.NewTextHandler(g.ui, &slog.HandlerOptions{Level: slog.LevelDebug})
		opts = append(opts, dlmanager.WithLogger(slog.New(handler)))
	}
	return opts, nil
}

// maxTimeError is the end that --max-time set.
type maxTimeError struct{ limit time.Duration }

func (e *maxTimeError) Error() string {
	return fmt.Sprintf("not done within %s", shortDuration(e.limit))
}

// fetchAll runs all jobs of the plan side by side and returns what failed, which it
// has said by then.
func (g *getCommand) fetchAll(ctx context.Context, m *dlmanager.DownloadManager, p *plan) error {
	return g.fetchJobs(ctx, m, p.jobs, g.place)
}

// placer puts a file that has come where it is wanted.
type placer func(context.Context, *dlmanager.DownloadManager, *job) error

func (g *getCommand) fetchJobs(ctx context.Context, m *dlmanager.DownloadManager, jobs []*job, place placer) error {
	for _, j := range jobs {
		if j.tree == nil {
			j.download = m.Download(j.url, j.name, append(g.fresh.once(), j.opts...)...)
		}
	}
	defer context.AfterFunc(ctx, func() { m.Interrupt(nil) })()
	show := g.follow(newBoard(jobs, time.Now()).look)
	// Copies are bounded as downloads are: they compete for the same disk.
	placing := make(chan struct{}, g.transfer.parallel.n)
	var wg sync.WaitGroup
	for _, j := range jobs {
		wg.Go(func() {
			defer j.release()
			err := j.arrive(ctx, m, g.fresh.once())
			if err == nil {
				placing <- struct{}{}
				err = place(ctx, m, j)
				<-placing
			}
			g.finish(ctx, j, err)
			show.finished(j)
		})
	}
	wg.Wait()
	show.end()
	var failed fetchErrors
	for _, j := range jobs {
		if j.err != nil {
			failed = append(failed, &fetchError{j.err})
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return failed
}

// finish notes how a job ended, and says what went wrong.
func (g *getCommand) finish(ctx context.Context, j *job, err error) {
	if errors.Is(err, dlmanager.ErrInterrupted) && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	j.result, j.err = j.outcome(), err
	j.over.Store(true)
	_, signalled := errors.AsType[*stopped](err)
	switch {
	case err == nil && !j.result.Verified:
		g.ui.note("%s: the server did not say how long the file is: nobody can tell whether it is whole", j.subject())
	case err != nil && !signalled && !isBrokenPipe(err):
		g.ui.failed(j.subject(), withKept(err, j.result.Kept))
	}
}

// warnOfLimit tells why the cache is larger than it should be.
func (g *getCommand) warnOfLimit(u dlmanager.LimitUsage) {
	g.ui.note("the cache exceeds its limit of %s by %s: what is left was used too recently, or is kept by --keep",
		bytesText(u.Limit), bytesText(u.Over))
}

// warnOfRetry tells why it takes longer.
func (g *getCommand) warnOfRetry(_ *dlmanager.Download, a dlmanager.Attempt, wait time.Duration) {
	when := "at once"
	if wait > 0 {
		when = "in " + shortDuration(max(wait.Round(100*time.Millisecond), 100*time.Millisecond))
	}
	g.ui.note("%v; trying again %s", a.Err, when)
}

// warnOfStale tells that a file may be out of date.
func (g *getCommand) warnOfStale(d *dlmanager.Download, err error) {
	g.ui.note("%s: the file that is there is used, which may be out of date", describe(dlmanager.RedactURL(d.URL()), err))
}

// printResults prints a line for each argument. It prints all at once, so that
// lines and bars never meet on a terminal.
func (g *getCommand) printResults(p *plan) error {
	if p.stdout {
		return nil
	}
	var lines strings.Builder
	for _, j := range p.byArg {
		if g.output.json {
			lines.Write(asJSON(j.report()))
		} else {
			lines.WriteString(j.path)
		}
		lines.WriteByte('\n')
	}
	_, err := g.ui.out.WriteString(lines.String())
	return err
}
