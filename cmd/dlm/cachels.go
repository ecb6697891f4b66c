package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dlmanager/dlmanager"
)

const cacheLsLong = `List the files in the cache, one a line: the size in bytes, the time of the last
use, and the name, with a tab between them. In names, a backslash and what does
not print are written as in C: \\, \n, \x1b.

A directory of "dlm get --unpack" is one line, with the bytes of all its files, and
has a slash at the end of its name.

Without --sort the lines come as the files are found, however many there are.
With --json each line is an object with the keys name, path, dir (whether it is a
directory), bytes, lastUse and modified, and, as far as they are remembered, url (without user, password and
values of the query), fetched and digest; else these are "".`

// cacheLs is one call of "dlm cache ls".
type cacheLs struct {
	cacheCall
	sort choiceValue
	json bool
	null bool
}

func newCacheLsCommand(u *ui) *cobra.Command {
	l := &cacheLs{cacheCall: cacheCall{ui: u}, sort: choiceValue{"none", []string{"none", "use", "size", "name"}}}
	cmd := &cobra.Command{
		Use:   "ls [flags]",
		Short: "List the files in the cache",
		Long:  cacheLsLong,
		Example: `  # What would go first if the limit were exceeded
  dlm cache ls --sort use

  # Remove what came from a host
  dlm cache ls -0 | grep -z '^example\.com/' | xargs -0 dlm cache rm`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return l.run(cmd.Context()) },
	}
	flags := newFlagSet(cmd.Flags())
	flags.group("What is shown")
	flags.Var(&l.sort, "sort", "the order: use (used longest ago first), size (largest first), name, or none")
	flags.BoolVar(&l.json, "json", false, "print a JSON object for each file")
	flags.BoolVarP(&l.null, "null", "0", false, "print names alone, as they are, each with a zero byte after it")
	l.register(flags)
	usageByGroup(cmd, flags)
	completeValues(cmd)
	return cmd
}

func (l *cacheLs) run(ctx context.Context) error {
	if l.json && l.null {
		return &usageError{given(l.dir.flags, "json") + " and " + given(l.dir.flags, "null") + " both say what is printed", "give one of them"}
	}
	return l.allowNone(l.with(func(m *dlmanager.DownloadManager) error { return l.list(ctx, m) }))
}

func (l *cacheLs) list(ctx context.Context, m *dlmanager.DownloadManager) error {
	files := m.Files()
	if order := orders[l.sort.word]; order != nil {
		files = described(m, sorted(m.Files, order, sortBatch))
	}
	out := bufio.NewWriterSize(l.ui.out, 64<<10)
	var unread []error
	for f, err := range files {
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), out.Flush())
		}
		if err != nil {
			unread = append(unread, err)
			continue
		}
		if err := l.print(out, f); err != nil {
			return err
		}
	}
	return errors.Join(append(unread, out.Flush())...)
}

func (l *cacheLs) print(w io.Writer, f dlmanager.FileInfo) error {
	var err error
	switch {
	case l.null:
		_, err = fmt.Fprintf(w, "%s\x00", f.Name)
	case l.json:
		_, err = fmt.Fprintf(w, "%s\n", asJSON(listed(f)))
	default:
		_, err = fmt.Fprintf(w, "%d\t%s\t%s\n", f.Size, timeText(f.LastUse), oneLine(f.Name))
	}
	return err
}

// listedFile is what --json prints of a file. All keys are always there.
type listedFile struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	Dir      bool   `json:"dir"`
	Bytes    int64  `json:"bytes"`
	LastUse  string `json:"lastUse"`
	Modified string `json:"modified"`
	URL      string `json:"url"`     // without secrets
	Fetched  string `json:"fetched"` // when
	Digest   string `json:"digest"`  // "sha256:…" or another
}

func listed(f dlmanager.FileInfo) listedFile {
	l := listedFile{
		Name: f.Name, Path: f.Path, Dir: f.Dir, Bytes: f.Size,
		LastUse: timeText(f.LastUse), Modified: timeText(f.ModTime),
	}
	if r, ok := f.Remembered(); ok {
		l.URL, l.Digest, l.Fetched = r.URL, r.Digest, timeText(r.Fetched)
	}
	return l
}

// timeText is a time as RFC 3339 has it, the same everywhere and in an order that
// programs can sort by.
func timeText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// described looks again at files that were sorted; those that are gone are passed
// over.
func described(m *dlmanager.DownloadManager, sortedFiles iter.Seq2[sortedFile, error]) iter.Seq2[dlmanager.FileInfo, error] {
	return func(yield func(dlmanager.FileInfo, error) bool) {
		for r, err := range sortedFiles {
			var f dlmanager.FileInfo
			if err == nil {
				f, err = m.Stat(r.name)
			}
			if !errors.Is(err, dlmanager.ErrNotCached) && !yield(f, err) {
				return
			}
		}
	}
}
