package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// table is the outcome of a scenario.
type table struct {
	name    string
	about   string
	rows    []*row
	missing []string // who was left out, and why
	load    string   // of the machine, before and after, ours included
	floor   int64    // bytes below which no peak can be seen
}

// row is a contender and its runs, one in each round.
type row struct {
	contender
	samples []sample
}

// markdown returns the table with what belongs to it.
func (t table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n", t.name, t.about)
	b.WriteString("| contender | wall median | wall best | cpu median | peak memory | ours / it, wall | ours / it, cpu |\n")
	b.WriteString("|---|---|---|---|---|---|---|\n")
	ours := t.ours()
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r.cells(ours, t.floor), " | "))
	}
	b.WriteByte('\n')
	for _, r := range t.rows {
		fmt.Fprintf(&b, "- %s: `%s`\n", r.name, r.shown)
	}
	for _, r := range t.rows {
		for _, failure := range r.failures() {
			fmt.Fprintf(&b, "- %s failed: %s\n", r.name, failure)
		}
	}
	for _, m := range t.missing {
		fmt.Fprintf(&b, "- left out: %s\n", m)
	}
	fmt.Fprintf(&b, "- load: %s\n", t.load)
	return b.String()
}

// ours returns the row that ratios are taken with, or nil.
func (t table) ours() *row {
	for _, r := range t.rows {
		if r.ours {
			return r
		}
	}
	return nil
}

// cells returns the texts of a row.
func (r *row) cells(ours *row, floor int64) []string {
	good := r.good()
	name := r.name
	if bad := len(r.samples) - len(good); bad > 0 {
		name += fmt.Sprintf(" (**failed** %d of %d)", bad, len(r.samples))
	}
	if len(good) == 0 {
		return []string{name, "–", "–", "–", "–", "–", "–"}
	}
	wall, cpu := pick(good, wallOf), pick(good, cpuOf)
	cells := []string{
		name, seconds(median(wall)), seconds(slices.Min(wall)), seconds(median(cpu)), memory(good, floor),
	}
	switch ours {
	case r:
		return append(cells, "", "")
	case nil:
		return append(cells, "–", "–")
	}
	return append(cells, ratioText(ours, r, wallOf), ratioText(ours, r, cpuOf))
}

// good returns the runs that did not fail.
func (r *row) good() []sample {
	return slices.DeleteFunc(slices.Clone(r.samples), func(s sample) bool { return s.err != nil })
}

// failures returns the different messages of the runs that failed.
func (r *row) failures() []string {
	var texts []string
	for _, s := range r.samples {
		if s.err != nil && !slices.Contains(texts, s.err.Error()) {
			texts = append(texts, s.err.Error())
		}
	}
	return texts
}

func wallOf(s sample) time.Duration { return s.wall }
func cpuOf(s sample) time.Duration  { return s.cpu }

func pick(samples []sample, of func(sample) time.Duration) []time.Duration {
	ds := make([]time.Duration, len(samples))
	for i, s := range samples {
		ds[i] = of(s)
	}
	return ds
}

// ratios returns a's figures over b's, round by round, where both ran and b took
// something.
func ratios(a, b []sample, of func(sample) time.Duration) []float64 {
	var rs []float64
	for i := range min(len(a), len(b)) {
		if a[i].err == nil && b[i].err == nil && of(b[i]) > 0 {
			rs = append(rs, float64(of(a[i]))/float64(of(b[i])))
		}
	}
	return rs
}

// ratioText is the median of the paired ratios, and best over best.
func ratioText(a, b *row, of func(sample) time.Duration) string {
	rs := ratios(a.samples, b.samples, of)
	if len(rs) == 0 {
		return "–"
	}
	text := fmt.Sprintf("%.2f", median(rs))
	if best := slices.Min(pick(b.good(), of)); best > 0 {
		text += fmt.Sprintf(" (best %.2f)", float64(slices.Min(pick(a.good(), of)))/float64(best))
	}
	return text
}

// median returns the middle value, of an even number the mean of the two.
func median[T ~int64 | ~float64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// seconds writes a duration with three digits that count.
func seconds(d time.Duration) string {
	switch s := d.Seconds(); {
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", s*1000)
	case s < 10:
		return fmt.Sprintf("%.2f s", s)
	default:
		return fmt.Sprintf("%.1f s", s)
	}
}

// memory writes the largest peak.
func memory(samples []sample, floor int64) string {
	peak := slices.MaxFunc(samples, func(a, b sample) int { return cmp.Compare(a.peak, b.peak) }).peak
	// What we were when it began is counted a little differently: half a MiB.
	if peak <= floor+mib/2 {
		return fmt.Sprintf("≤ %d MiB", (peak+mib-1)/mib)
	}
	return fmt.Sprintf("%d MiB", (peak+mib/2)/mib)
}
