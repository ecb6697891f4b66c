package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dlmanager/dlmanager"
)

const cacheVerifyLong = `Read every file in the cache again, and hold it against its digest where one is
known, else against the checksum of what was fetched; a directory against what was in it
when it was unpacked. Files that are damaged are
printed, one a line: the name as "dlm cache ls" writes it, what was expected, and
what is there, with a tab between them. The command ends with 5 then.

With --repair they are removed, so that the next call fetches them anew, and the
command ends with 0. One that a program has open stays: then it ends with 8.`

// cacheVerify is one call of "dlm cache verify".
type cacheVerify struct {
	cacheCall
	repair   bool
	parallel countValue
}

func newCacheVerifyCommand(u *ui) *cobra.Command {
	v := &cacheVerify{cacheCall: cacheCall{ui: u}, parallel: countValue{0, 0}}
	cmd := &cobra.Command{
		Use:     "verify [flags]",
		Short:   "Look for damaged files in the cache",
		Long:    cacheVerifyLong,
		Example: "  dlm cache verify --repair",
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return v.run(cmd.Context()) },
	}
	flags := newFlagSet(cmd.Flags())
	flags.group("What is done")
	flags.BoolVar(&v.repair, "repair", false, "remove what is damaged")
	flags.Var(&v.parallel, "readers", "read `N` files at once; 0: one for each CPU")
	v.register(flags)
	usageByGroup(cmd, flags)
	completeValues(cmd)
	return cmd
}

func (v *cacheVerify) run(ctx context.Context) error {
	return v.allowNone(v.with(func(m *dlmanager.DownloadManager) error { return v.verify(ctx, m) }))
}

func (v *cacheVerify) verify(ctx context.Context, m *dlmanager.DownloadManager) error {
	report, err := m.Verify(ctx, dlmanager.VerifyOptions{Repair: v.repair, Parallel: v.parallel.n})
	out := bufio.NewWriter(v.ui.out)
	stay, removed := []error{}, 0
	for _, d := range report.Damaged {
		fmt.Fprintf(out, "%s\t%s\t%s\n", oneLine(d.Name), d.Want, d.Got) // Flush has the error
		switch {
		case d.Removed:
			removed++
		case d.Err != nil:
			stay = append(stay, fmt.Errorf("remove %q: %w", d.Name, d.Err))
		}
	}
	if flushed := out.Flush(); flushed != nil {
		err = errors.Join(err, flushed)
	}
	text := fmt.Sprintf("%s (%s) read, %d damaged", filesText(report.Intact+len(report.Damaged)), bytesText(report.Bytes), len(report.Damaged))
	if v.repair {
		text += fmt.Sprintf(", %d removed", removed)
	}
	if report.Unknown > 0 {
		text += fmt.Sprintf("; %s nothing is remembered of, and nobody can tell", filesText(report.Unknown))
	}
	v.ui.note("%s", text)
	switch damaged := len(report.Damaged) > removed; {
	case err != nil || !damaged:
		return err
	case v.repair:
		return errors.Join(stay...)
	}
	return &hinted{&damageError{len(report.Damaged)}, "--repair removes them, and the next dlm get fetches them anew"}
}

// damageError says that files are damaged, and still there.
type damageError struct{ files int }

func (e *damageError) Error() string { return filesText(e.files) + " damaged" }

// Is makes it match ErrChecksum.
func (e *damageError) Is(target error) bool { return target == dlmanager.ErrChecksum }
