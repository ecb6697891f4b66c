package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/dlmanager/dlmanager"
)

const cacheRmLong = `Remove files from the cache, and what earlier downloads of them left unfinished. The
name of a directory has a slash at its end; a URL stands for both. A file that a
program has open, or that is being downloaded, stays, and the command
ends with 8; one that is not there ends it with 3. The others are removed.`

func newCacheRmCommand(u *ui) *cobra.Command {
	c := &cacheCall{ui: u}
	cmd := &cobra.Command{
		Use:   "rm [flags] URL|NAME...",
		Short: "Remove files from the cache",
		Long:  cacheRmLong,
		Example: `  dlm cache rm https://example.com/tool.tar.gz
  dlm cache rm example.com/tool.tar.gz`,
		RunE: func(cmd *cobra.Command, args []string) error {
			entries, err := entriesOf(cmd, args)
			if err != nil {
				return err
			}
			return c.remove(cmd.Context(), entries)
		},
	}
	flags := newFlagSet(cmd.Flags())
	c.register(flags)
	usageByGroup(cmd, flags)
	completeValues(cmd)
	return cmd
}

func (c *cacheCall) remove(ctx context.Context, entries []entry) error {
	return c.with(func(m *dlmanager.DownloadManager) error {
		return c.each(entries, func(i int, name string) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			err := m.Remove(name)
			if dir := entries[i].dir; dir != "" {
				err = either(err, m.Remove(dir))
			}
			return err
		})
	})
}

// either is the outcome for a URL of which the file and the directory were removed: it
// is enough if one of them was there.
func either(file, dir error) error {
	switch {
	case errors.Is(dir, dlmanager.ErrNotCached):
		return file
	case errors.Is(file, dlmanager.ErrNotCached):
		return dir
	}
	return errors.Join(file, dir)
}
