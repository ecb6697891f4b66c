package main

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dlmanager/dlmanager"
)

func newCacheCommand(u *ui) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache COMMAND",
		Short: "Look after the cache, and where files are kept and for how long",
		Long:  cacheHelp,
		Example: `  dlm cache ls --sort size
  dlm cache prune --to 5GiB
  dlm cache path https://example.com/tool.tar.gz`,
		Args:                       unknownCommand,
		SuggestionsMinimumDistance: 2,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newCacheLsCommand(u), newCachePathCommand(u), newCachePruneCommand(u), newCacheRmCommand(u),
		newCacheClearCommand(u), newCacheVerifyCommand(u), newCacheStatsCommand(u), newCacheLimitCommand(u),
	)
	return cmd
}

// cacheCall is what every call of "dlm cache" has.
type cacheCall struct {
	ui    *ui
	dir   dirFlag
	quiet bool
}

// register defines the flags that all have, in a group of their own or the last.
func (c *cacheCall) register(s *flagSet) {
	s.group("The cache")
	c.dir.register(s)
	s.BoolVarP(&c.quiet, "quiet", "q", false, "say nothing but errors")
}

// with calls fn with the cache, which is opened as it is: nothing is made, and
// nothing evicted. If there is no directory, it fails with a noCacheError.
func (c *cacheCall) with(fn func(m *dlmanager.DownloadManager) error) error {
	c.ui.setQuiet(c.quiet)
	dir, err := c.dir.locate()
	if err != nil {
		return err
	}
	m, err := dlmanager.NewDownloadManager(dir, dlmanager.WithExisting(), dlmanager.WithSizeLimit(0))
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return &noCacheError{dir}
	case errors.Is(err, dlmanager.ErrNotCacheDir):
		return &hinted{err, "--cache-dir DIR names another directory"}
	case err != nil:
		return err
	}
	err = fn(m)
	if closing := m.Close(); closing != nil {
		err = errors.Join(err, closing)
	}
	return err
}

// noCacheError says that there is no directory, and so no file.
type noCacheError struct{ dir string }

func (e *noCacheError) Error() string { return "there is no cache at " + e.dir + " yet" }

// Is makes it match ErrNotCached.
func (e *noCacheError) Is(target error) bool { return target == dlmanager.ErrNotCached }

func isNoCache(err error) bool {
	_, ok := errors.AsType[*noCacheError](err)
	return ok
}

// allowNone turns the error into a note for who finds nothing to do then.
func (c *cacheCall) allowNone(err error) error {
	if none, ok := errors.AsType[*noCacheError](err); ok {
		c.ui.note("%v", none)
		return nil
	}
	return err
}

// entry is a file or a directory that an argument names.
type entry struct {
	shown string // the argument, if it is a URL, without secrets
	name  string // in the cache
	dir   string // of the directory that a URL stands for, too; "": it is no URL
}

// entriesOf returns what the arguments name: a URL stands for the name that "dlm
// get" gives it, and for the directory that "dlm get --unpack" makes.
func entriesOf(cmd *cobra.Command, args []string) ([]entry, error) {
	if len(args) == 0 {
		return nil, &usageError{cmd.CommandPath() + " takes names or URLs", "dlm cache ls lists the names"}
	}
	var problems usageErrors
	entries := make([]entry, 0, len(args))
	for _, arg := range args {
		e := entry{name: arg}
		if strings.Contains(arg, "://") {
			name, err := dlmanager.TreeName(arg)
			if err != nil {
				problems = append(problems, urlProblem(arg, err))
			}
			e = entry{shown: dlmanager.RedactURL(arg), name: name, dir: name + "/"}
		}
		entries = append(entries, e)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return entries, nil
}

// each calls fn for the entries, says what fails, and returns all of it.
func (c *cacheCall) each(entries []entry, fn func(i int, name string) error) error {
	var failed fetchErrors
	for i, e := range entries {
		err := fn(i, e.name)
		if err == nil {
			continue
		}
		if errors.Is(err, dlmanager.ErrInvalidName) {
			err = &hinted{err, "dlm cache ls lists the names"}
		}
		c.ui.failed(e.shown, err)
		failed = append(failed, &fetchError{err})
	}
	if len(failed) == 0 {
		return nil
	}
	return failed
}

// oneLine writes a name so that it is one field of one line, and can be read back:
// what is no character that prints, and the backslash, as Go and C escape it.
func oneLine(name string) string {
	if printable(name) == name && !strings.Contains(name, `\`) {
		return name
	}
	quoted := fmt.Sprintf("%q", name)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
