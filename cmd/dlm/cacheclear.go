package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dlmanager/dlmanager"
)

const cacheClearLong = `Remove all files from the cache, and what is left of unfinished downloads, after
asking. The directory itself, its mark and its limit stay. A directory that is not
marked as a cache is refused, and what is in use stays: then the command ends
with 8.

Jobs of dlm batch are removed, too, as they say of files in the cache that they are
there; not those with -o, or that --job has put elsewhere.`

// cacheClear is one call of "dlm cache clear".
type cacheClear struct {
	cacheCall
	yes bool
}

func newCacheClearCommand(u *ui) *cobra.Command {
	c := &cacheClear{cacheCall: cacheCall{ui: u}}
	cmd := &cobra.Command{
		Use:   "clear [flags]",
		Short: "Remove all files from the cache",
		Long:  cacheClearLong,
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	flags := newFlagSet(cmd.Flags())
	flags.group("What is asked")
	flags.BoolVarP(&c.yes, "yes", "y", false, "do not ask")
	c.register(flags)
	usageByGroup(cmd, flags)
	completeValues(cmd)
	return cmd
}

func (c *cacheClear) run(ctx context.Context) error {
	if !c.yes && !(isTerminal(os.Stdin) && isTerminal(c.ui.err)) {
		return &usageError{"nobody can be asked whether to remove all files: this is no terminal", "--yes answers it"}
	}
	return c.allowNone(c.with(func(m *dlmanager.DownloadManager) error { return c.clear(ctx, m) }))
}

func (c *cacheClear) clear(ctx context.Context, m *dlmanager.DownloadManager) error {
	dir, err := c.dir.locate()
	if err != nil {
		return err
	}
	o := dlmanager.PruneOptions{All: true, DryRun: true}
	if !c.yes {
		planned, err := m.Prune(ctx, o)
		if err != nil {
			return err
		}
		question := fmt.Sprintf("remove %s (%s) from %s?", filesText(planned.Files), bytesText(planned.Bytes), dir)
		if err := c.ui.confirm(ctx, os.Stdin, question); err != nil {
			return err
		}
	}
	o.DryRun = false
	report, err := m.Prune(ctx, o)
	c.ui.notePruned(report, false)
	if err == nil && report.InUse > 0 {
		err = &inUseError{report.InUse, report.InUseBytes}
	}
	jobs, kept := removeJobs(dir)
	if jobs > 0 {
		c.ui.note("removed %s of dlm batch: what they had noted as done is gone", jobsText(jobs))
	}
	return errors.Join(err, kept)
}

func jobsText(n int) string {
	if n == 1 {
		return "1 job"
	}
	return fmt.Sprintf("%d jobs", n)
}

var errNotConfirmed = errors.New("not confirmed: nothing was removed")

// confirm asks a person, and fails unless the answer is yes. When ctx ends it
// returns although the read hangs: nothing but the end of the program frees it
// then.
func (u *ui) confirm(ctx context.Context, in *os.File, question string) error {
	u.ask(question)
	answers := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n') // what there is of it is the answer
		answers <- line
	}()
	select {
	case answer := <-answers:
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "y", "yes":
			return nil
		}
		return errNotConfirmed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ask puts a question, and leaves the cursor behind it.
func (u *ui) ask(question string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.write([]byte("dlm: " + printable(question) + " [y/N] "))
}
