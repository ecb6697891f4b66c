package main

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/dlmanager/dlmanager"
)

// sortedFile is what is sorted of a file: there may be millions.
type sortedFile struct {
	name string
	size int64
	used int64 // Unix nanoseconds
}

// orders are those of --sort; none has none.
var orders = map[string]func(a, b sortedFile) int{
	"use":  func(a, b sortedFile) int { return cmp.Or(cmp.Compare(a.used, b.used), strings.Compare(a.name, b.name)) },
	"size": func(a, b sortedFile) int { return cmp.Or(cmp.Compare(b.size, a.size), strings.Compare(a.name, b.name)) },
	"name": func(a, b sortedFile) int { return strings.Compare(a.name, b.name) },
}

// sortBatch is how many files are sorted at a time, or up to twice as many: some
// 180 MB, and one look at a directory of a million files.
const sortBatch = 1 << 19

// sorted returns the files in order, with no more than twice the batch in memory:
// where there are more, it looks at all files again for each batch. Errors come
// last.
func sorted(files func() iter.Seq2[dlmanager.FileInfo, error], order func(a, b sortedFile) int, batch int) iter.Seq2[sortedFile, error] {
	return func(yield func(sortedFile, error) bool) {
		var last *sortedFile
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
					yield(sortedFile{}, err)
				}
				return
			}
		}
	}
}

// firstBehind returns the first n or more files behind last, and whether there are
// others.
func firstBehind(files iter.Seq2[dlmanager.FileInfo, error], order func(a, b sortedFile) int, last *sortedFile, n int) (first []sortedFile, more bool, err error) {
	for info, failed := range files {
		if failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		f := sortedFile{info.Name, info.Size, info.LastUse.UnixNano()}
		if last != nil && order(f, *last) <= 0 {
			continue
		}
		if first = append(first, f); len(first) == 2*n {
			slices.SortFunc(first, order)
			first, more = first[:n], true
		}
	}
	slices.SortFunc(first, order)
	if more { // the rest may be behind what was given up
		first = first[:n]
	}
	return first, more, err
}
