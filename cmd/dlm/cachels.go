package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dlmanager/dlmanager"
)

const cacheLsLong = `List the files in the cache, one a line: the size in bytes, the time of the last
use, and the name, with a tab between them. In names, a backslash and what does
not print are written as in C: \\, \n, \x1b.

Without --sort the lines come as the files are found, however many there are.
With --json each line is an object with the keys name, path, bytes, lastUse and
modified, and, as far as they are remembered, url (without user, password and
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
		files = sorted(m.Files, order, sortBatch)
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
	Bytes    int64  `json:"bytes"`
	LastUse  string `json:"lastUse"`
	Modified string `json:"modified"`
	URL      string `json:"url"`     // without secrets
	Fetched  string `json:"fetched"` // when
	Digest   string `json:"digest"`  // "sha256:…" or another
}

func listed(f dlmanager.FileInfo) listedFile {
	l := listedFile{
		Name: f.Name, Path: f.Path, Bytes: f.Size,
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

// orders are those of --sort; none has none.
var orders = map[string]func(a, b dlmanager.FileInfo) int{
	"use": func(a, b dlmanager.FileInfo) int {
		return cmp.Or(a.LastUse.Compare(b.LastUse), strings.Compare(a.Name, b.Name))
	},
	"size": func(a, b dlmanager.FileInfo) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), strings.Compare(a.Name, b.Name))
	},
	"name": func(a, b dlmanager.FileInfo) int { return strings.Compare(a.Name, b.Name) },
}

// sortBatch is how many files are in memory at least before they are looked at
// again for the next ones: some 100 MB, and eight looks at a million files.
const sortBatch = 1 << 17

// sorted returns the files in order, with no more than twice the batch in memory:
// it looks at all files for each batch. Errors come last.
func sorted(files func() iter.Seq2[dlmanager.FileInfo, error], order func(a, b dlmanager.FileInfo) int, batch int) iter.Seq2[dlmanager.FileInfo, error] {
	return func(yield func(dlmanager.FileInfo, error) bool) {
		var last *dlmanager.FileInfo
		for {
			first, more, err := firstBehind(files(), order, last, batch)
			for i := range first {
				if !yield(first[i], nil) {
					return
				}
				last = &first[i]
			}
			if !more {
				if err != nil {
					yield(dlmanager.FileInfo{}, err)
				}
				return
			}
		}
	}
}

// firstBehind returns the first n files behind last, and whether there are others.
func firstBehind(files iter.Seq2[dlmanager.FileInfo, error], order func(a, b dlmanager.FileInfo) int, last *dlmanager.FileInfo, n int) (first []dlmanager.FileInfo, more bool, err error) {
	for f, failed := range files {
		if failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		if last != nil && order(f, *last) <= 0 {
			continue
		}
		if first = append(first, f); len(first) == 2*n {
			slices.SortFunc(first, order)
			first, more = first[:n], true
		}
	}
	slices.SortFunc(first, order)
	return first[:min(len(first), n)], more || len(first) > n, err
}
