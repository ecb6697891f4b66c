package main

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/mattn/go-runewidth"

	"github.com/dlmanager/dlmanager"
)

// syncReport is what --json prints of an artifact. All keys are always there; what
// does not apply is "", 0 or false.
type syncReport struct {
	Artifact string `json:"artifact"`
	Version  string `json:"version"`
	Was      string `json:"was"`    // in place, missing, outdated, changed, foreign
	Cached   bool   `json:"cached"` // with --check: the cache has what is wanted
	report
}

func (it *syncItem) report() syncReport {
	r := syncReport{
		Artifact: it.from.name, Version: it.from.version, Was: string(it.standing), Cached: it.cached,
		report: it.job.report(),
	}
	if it.download == nil && (it.tree == nil || it.tree.dir == nil) {
		r.Origin = "" // nobody was asked
	}
	if r.Digest == "" && r.Path != "" {
		r.Digest = it.digest
	}
	return r
}

// printPaths prints a line for each artifact.
func (r *syncRun) printPaths() error {
	var lines strings.Builder
	for _, it := range r.items {
		if r.output.json {
			lines.Write(asJSON(it.report()))
		} else {
			lines.WriteString(it.path)
		}
		lines.WriteByte('\n')
	}
	_, err := r.ui.out.WriteString(lines.String())
	return err
}

// table says on stderr what became of each artifact, or what would.
func (r *syncRun) table() {
	var rows [][]string
	for _, it := range r.items {
		size := ""
		if it.err == nil && it.result.Bytes > 0 {
			size = bytesText(it.result.Bytes)
		}
		where := it.rel
		if where == "" {
			where = "(cache)"
		}
		rows = append(rows, []string{it.from.name, it.from.version, it.done(r.flags.check), size, filepath.FromSlash(where)})
	}
	for _, line := range aligned(rows) {
		r.ui.note("%s", line)
	}
}

// done says what was done, or is to be done.
func (it *syncItem) done(onlyChecked bool) string {
	_, signalled := errors.AsType[*stopped](it.err)
	switch {
	case signalled:
		return "interrupted"
	case it.err != nil:
		return "failed"
	case it.standing == inPlace:
		return string(inPlace)
	case onlyChecked && it.cached:
		return string(it.standing) + ", in the cache"
	case onlyChecked:
		return string(it.standing) + ", to be fetched"
	case it.target == "" || it.standing == missing:
		return arrival(it.result.Origin)
	default:
		return arrival(it.result.Origin) + ", was " + string(it.standing)
	}
}

// arrival is how the file came.
func arrival(o dlmanager.Origin) string {
	if o == dlmanager.OriginCached {
		return "from the cache"
	}
	return o.String()
}

// aligned writes the rows as columns, with two spaces between them.
func aligned(rows [][]string) []string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], displayWidth(printable(cell)))
		}
	}
	lines := make([]string, 0, len(rows))
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			if widths[i] > 0 { // else nobody has anything to say there
				b.WriteString(runewidth.FillRight(printable(cell), widths[i]) + strings.Repeat(" ", gap))
			}
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}
