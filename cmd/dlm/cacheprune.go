package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dlmanager/dlmanager"
)

const cachePruneLong = `Remove files from the cache: those that were not used for long, or those used
longest ago until the rest is small enough, or both. What earlier downloads left
unfinished goes first. The names of the files are printed, one a line, as "dlm
cache ls" writes them.

Nothing that is in use is removed: a file that a program has open, or that is being
downloaded. If more than was asked for is left because of that, the command ends
with 8. Limit, --keep and --grace of "dlm get" do not count here.`

// cachePrune is one call of "dlm cache prune".
type cachePrune struct {
	cacheCall
	to        sizeValue
	olderThan durationValue
	dryRun    bool
	flags     *pflag.FlagSet
}

func newCachePruneCommand(u *ui) *cobra.Command {
	p := &cachePrune{cacheCall: cacheCall{ui: u}}
	cmd := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove what is old, or too much",
		Long:  cachePruneLong,
		Example: `  dlm cache prune --to 5GiB
  dlm cache prune --older-than 720h --dry-run`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.run(cmd.Context()) },
	}
	p.flags = cmd.Flags()
	flags := newFlagSet(p.flags)
	flags.group("What goes")
	flags.Var(&p.to, "to", "remove files until the rest has no more than `SIZE`; 0: all")
	flags.Var(&p.olderThan, "older-than", "remove what was not used for `DURATION`")
	flags.BoolVar(&p.dryRun, "dry-run", false, "remove nothing, and print what would be removed")
	p.register(flags)
	for _, name := range []string{"to", "older-than"} {
		flags.Lookup(name).DefValue = "0" // which is not what they do when they are not given
	}
	usageByGroup(cmd, flags)
	completeValues(cmd)
	return cmd
}

func (p *cachePrune) run(ctx context.Context) error {
	to, age := p.flags.Changed("to"), p.flags.Changed("older-than")
	if !to && !age {
		return &usageError{"dlm cache prune was not told what to remove", "--to SIZE and --older-than DURATION say it"}
	}
	o := dlmanager.PruneOptions{
		To: int64(p.to), OlderThan: time.Duration(p.olderThan),
		All: to && p.to == 0 || age && p.olderThan == 0, DryRun: p.dryRun,
	}
	return p.allowNone(p.with(func(m *dlmanager.DownloadManager) error { return p.prune(ctx, m, o) }))
}

func (p *cachePrune) prune(ctx context.Context, m *dlmanager.DownloadManager, o dlmanager.PruneOptions) error {
	out := bufio.NewWriterSize(p.ui.out, 64<<10)
	o.Removed = func(f dlmanager.FileInfo) { fmt.Fprintln(out, oneLine(f.Name)) } // Flush has the error
	report, err := m.Prune(ctx, o)
	if flushed := out.Flush(); flushed != nil {
		err = errors.Join(err, flushed)
	}
	p.ui.notePruned(report, o.DryRun)
	if err == nil && report.InUse > 0 && (o.All || o.OlderThan > 0 || report.LeftBytes > o.To) {
		return &inUseError{report.InUse, report.InUseBytes}
	}
	return err
}

// notePruned says what was removed.
func (u *ui) notePruned(r dlmanager.PruneReport, dry bool) {
	done := "removed"
	if dry {
		done = "would remove"
	}
	text := fmt.Sprintf("%s %s (%s)", done, filesText(r.Files), bytesText(r.Bytes))
	if r.Unfinished > 0 {
		text += fmt.Sprintf(" and %d unfinished (%s)", r.Unfinished, bytesText(r.UnfinishedBytes))
	}
	u.note("%s; %s left", text, bytesText(r.LeftBytes))
}

func filesText(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}

// inUseError says that files stay although they had to go.
type inUseError struct {
	files int
	bytes int64
}

func (e *inUseError) Error() string {
	return fmt.Sprintf("%s (%s) in use: not removed", filesText(e.files), bytesText(e.bytes))
}

// Is makes it match ErrInUse.
func (e *inUseError) Is(target error) bool { return target == dlmanager.ErrInUse }
