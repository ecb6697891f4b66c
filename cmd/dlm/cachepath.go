package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dlmanager/dlmanager"
)

const cachePathLong = `Print the absolute path of files in the cache, one a line, in the order of the
arguments, and an empty line for one that is not there. The name of a directory
has a slash at its end; a URL stands for the file, else for the directory. This fetches nothing, and
is no use of the file: it may be evicted as if nobody had asked. "dlm get" is one.`

func newCachePathCommand(u *ui) *cobra.Command {
	c := &cacheCall{ui: u}
	cmd := &cobra.Command{
		Use:     "path [flags] URL|NAME...",
		Short:   "Print where a file in the cache is",
		Long:    cachePathLong,
		Example: "  dlm cache path https://example.com/tool.tar.gz",
		RunE: func(cmd *cobra.Command, args []string) error {
			entries, err := entriesOf(cmd, args)
			if err != nil {
				return err
			}
			return c.paths(entries)
		},
	}
	flags := newFlagSet(cmd.Flags())
	c.register(flags)
	usageByGroup(cmd, flags)
	completeValues(cmd)
	return cmd
}

// paths prints a line for each entry, also when some or all are not there.
func (c *cacheCall) paths(entries []entry) error {
	lines := make([]string, len(entries))
	err := c.with(func(m *dlmanager.DownloadManager) error {
		return c.each(entries, func(i int, name string) error {
			f, err := m.Stat(name)
			if dir := entries[i].dir; dir != "" && errors.Is(err, dlmanager.ErrNotCached) {
				if d, other := m.Stat(dir); !errors.Is(other, dlmanager.ErrNotCached) {
					f, err = d, other
				}
			}
			lines[i] = f.Path
			return err
		})
	})
	if _, printed := c.ui.out.WriteString(strings.Join(lines, "\n") + "\n"); printed != nil {
		return errors.Join(err, printed)
	}
	return err
}
