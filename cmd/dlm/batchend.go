package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dlmanager/dlmanager/batch"
)

// shownFailures is how many failures the summary names: enough to see what is
// wrong, and few enough to see the rest.
const shownFailures = 5

// noteResumed says that it goes on, and where.
func (r *batchRun) noteResumed(before batch.JobStats) {
	if before.Links > 0 {
		now := r.job.Stats()
		r.ui.note("going on: %d of %s are done, %d failed", now.Done, linksText(now.Links), now.Failed)
	}
}

// incomplete is the end of a batch of which not all is there. It was said.
type incomplete struct{ failed, evicted int }

func (e *incomplete) Error() string {
	return fmt.Sprintf("%d links failed, %d files were evicted", e.failed, e.evicted)
}

func isIncomplete(err error) bool {
	_, ok := errors.AsType[*incomplete](err)
	return ok
}

// limited is the end of a batch that a limit stopped. It was said.
type limited struct{ batch.Reason }

func isLimited(err error) bool {
	_, ok := errors.AsType[*limited](err)
	return ok
}

// conclude says how the batch ended, and removes a job that is over.
func (r *batchRun) conclude(ctx context.Context, ended batch.Report) error {
	stats := r.job.Stats()
	over := ended.Reason == batch.ReasonDone
	if stats.Links == 0 && over {
		r.ui.note("%s is empty: there is nothing to fetch", r.listName())
		return r.job.Remove()
	}
	evicted := r.evicted.counted()
	r.summarize(ended, stats, evicted)
	failing := r.sayFailures(stats)
	switch {
	case failing != nil:
		return failing
	case !over && ctx.Err() != nil:
		return context.Cause(ctx)
	case stats.Failed > 0:
		return &incomplete{stats.Failed, evicted}
	case !over:
		return &limited{ended.Reason}
	}
	if err := r.job.Remove(); err != nil {
		return err
	}
	if evicted > 0 {
		return &incomplete{0, evicted}
	}
	return nil
}

func (r *batchRun) listName() string {
	if r.listPath == "" {
		return "stdin"
	}
	return r.listPath
}

// summarize says what was done.
func (r *batchRun) summarize(ended batch.Report, stats batch.JobStats, evicted int) {
	before := stats.Done - ended.Written - ended.Cached
	text := fmt.Sprintf("%s: %d fetched (%s), %d there already", linksText(stats.Links), ended.Written, bytesText(ended.Bytes), ended.Cached)
	if before > 0 {
		text += fmt.Sprintf(", %d done before", before)
	}
	r.ui.note("%s, %d failed", text, stats.Failed)
	if evicted > 0 {
		r.ui.failed("", &hinted{
			fmt.Errorf("%d of the files were evicted since: the cache is too small for all of them", evicted),
			"-o DIR/ puts each file elsewhere before it goes; --size-limit allows more",
		})
	}
	if ended.Reason == batch.ReasonDone {
		return
	}
	goesOn := "the same command goes on"
	if r.jobDir == "" {
		goesOn = "the same list again fetches only what is not there"
	}
	why := ""
	if ended.Reason != batch.ReasonStopped {
		why = fmt.Sprintf(" (%s)", ended.Reason)
	}
	left := fmt.Sprint(stats.Left + stats.Untold)
	if r.partly {
		left = "at least " + left
	}
	r.ui.note("stopped%s, %s left: %s", why, left, goesOn)
}

// sayFailures names the first of what failed.
func (r *batchRun) sayFailures(stats batch.JobStats) error {
	if stats.Failed == 0 {
		return nil
	}
	said := 0
	for f, err := range r.job.Failures() {
		if err != nil {
			return err
		}
		if said == shownFailures {
			break
		}
		said++
		r.ui.failed(r.placeOf(&f), errors.New(strings.TrimPrefix(f.Reason, f.URL+": ")))
	}
	if more := stats.Failed - said; more > 0 {
		r.ui.note("and %d more; --report - lists all", more)
	}
	hint := "the same command with --retry-failed tries again what failed"
	if r.jobDir == "" {
		hint = "the same list again fetches only what is not there"
	}
	r.ui.advise(hint)
	return nil
}

// placeOf says which link failed.
func (r *batchRun) placeOf(f *batch.Failure) string {
	place := f.URL
	if f.Line > 0 {
		place = fmt.Sprintf("line %d", f.Line)
		if f.URL != "" {
			place += ": " + f.URL
		}
	}
	return place
}

func linksText(n int) string {
	if n == 1 {
		return "1 link"
	}
	return fmt.Sprintf("%d links", n)
}
