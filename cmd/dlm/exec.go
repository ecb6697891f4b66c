package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dlmanager/dlmanager"
)

const execLong = `Fetch a program into the cache, unless it is there, and run it. What stands after
-- are its arguments; stdin, stdout, stderr, signals and the exit code are the
program's.

The program is not removed from the cache while it runs, whatever else is fetched
meanwhile, nor while a process runs that it has started and that keeps its open
files. If there is no program to run, dlm ends with one of its own exit codes (see
dlm help exit-codes).`

const execExamples = `  # Run a program, which is fetched the first time
  dlm exec https://example.com/tool -- --version

  # Only the right one
  dlm exec --checksum sha256:… https://example.com/tool -- build .`

// execCommand is one call of "dlm exec".
type execCommand struct{ getCommand }

func newExecCommand(u *ui) *cobra.Command {
	e := &execCommand{getCommand{ui: u}}
	cmd := &cobra.Command{
		Use:     "exec [flags] URL [-- ARG...]",
		Short:   "Fetch a program into the cache and run it",
		Long:    execLong,
		Example: execExamples,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkExec(args, cmd.ArgsLenAtDash()); err != nil {
				return err
			}
			return e.run(cmd.Context(), args[0], args[1:])
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := newFlagSet(cmd.Flags())
	e.content.register(flags)
	e.cache.register(flags)
	e.fresh.register(flags)
	e.placing.registerName(flags)
	e.placing.executable = true
	e.transfer.register(flags)
	e.output.registerProgress(flags)
	usageByGroup(cmd, flags)
	completeValues(cmd)
	return cmd
}

// checkExec wants one URL; dash is how many arguments stand before the --, -1 if
// there is none.
func checkExec(args []string, dash int) error {
	switch {
	case len(args) == 0 || dash == 0:
		return &usageError{"no URL was given", "dlm exec https://example.com/tool -- --version runs a program; see dlm exec --help"}
	case dash < 0 && len(args) > 1 || dash > 1:
		return &usageError{"dlm exec takes one URL", "the program's own arguments go after --: dlm exec URL -- ARG..."}
	}
	return nil
}

func (e *execCommand) run(ctx context.Context, url string, args []string) error {
	plan, m, err := e.open([]string{url})
	if err != nil {
		return err
	}
	program, err := e.fetch(ctx, m, plan)
	if err != nil {
		e.close(m)
		return err
	}
	return program.run(ctx, args, func() { e.close(m) })
}

// fetch returns the program, with its lease.
func (e *execCommand) fetch(ctx context.Context, m *dlmanager.DownloadManager, p *plan) (*program, error) {
	ctx, cancel := e.bound(ctx)
	defer cancel()
	if err := e.fetchAll(ctx, m, p); err != nil {
		return nil, err
	}
	file, err := m.Get(ctx, p.jobs[0].url, p.jobs[0].name)
	if err != nil {
		return nil, err
	}
	return newProgram(file)
}

// notStarted is a program that the operating system would not run.
type notStarted struct {
	path string
	err  error
}

func (e *notStarted) Error() string { return fmt.Sprintf("cannot execute %s: %v", e.path, e.err) }

func (e *notStarted) Unwrap() error { return e.err }

func (e *notStarted) hint() string {
	switch {
	case errors.Is(e.err, syscall.ENOEXEC):
		return fmt.Sprintf("it is no program for %s/%s", runtime.GOOS, runtime.GOARCH)
	case errors.Is(e.err, syscall.ENOENT): // it is there: we have it open
		return "what its first line names, or its dynamic linker, is not there"
	case errors.Is(e.err, syscall.EACCES):
		return "the file system of the cache may not allow that (noexec): --cache-dir DIR takes another directory"
	default:
		return ""
	}
}

// programEnded is the end of a program that ran beside us.
type programEnded struct{ code int }

func (e *programEnded) Error() string { return fmt.Sprintf("the program ended with %d", e.code) }
