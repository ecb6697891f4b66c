package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dlmanager/dlmanager"
)

const cacheLimitLong = `Print the directory's own limit in bytes, 0 if it has none, or set it. It holds for
all who use the directory without a limit of their own (--size-limit), also for
those at work now. Files that are too many then go with the next download, or at
once with dlm cache prune. A directory that is not there is made.`

func newCacheLimitCommand(u *ui) *cobra.Command {
	c := &cacheCall{ui: u}
	cmd := &cobra.Command{
		Use:   "limit [flags] [SIZE]",
		Short: "Print or set the limit of the cache",
		Long:  cacheLimitLong,
		Example: `  dlm cache limit
  dlm cache limit 50GiB`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{cmd.CommandPath() + " takes one size", "see " + cmd.CommandPath() + " --help"}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.with(c.printLimit)
			}
			return c.setLimit(args[0])
		},
	}
	flags := newFlagSet(cmd.Flags())
	c.register(flags)
	usageByGroup(cmd, flags)
	completeValues(cmd)
	return cmd
}

func (c *cacheCall) printLimit(m *dlmanager.DownloadManager) error {
	_, err := fmt.Fprintln(c.ui.out, m.Stats().DirectoryLimit)
	return err
}

func (c *cacheCall) setLimit(text string) error {
	var size sizeValue
	if err := size.Set(text); err != nil {
		return &usageError{text: err.Error()}
	}
	err := c.with(func(m *dlmanager.DownloadManager) error { return m.SetSizeLimit(int64(size)) })
	none, ok := errors.AsType[*noCacheError](err)
	if !ok {
		return err
	}
	m, err := dlmanager.NewDownloadManager(none.dir, dlmanager.WithInitialSizeLimit(int64(size)))
	if err != nil {
		return err
	}
	return m.Close()
}
