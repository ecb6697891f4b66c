package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/mattn/go-runewidth"
)

// columns is how a line of a progress display is laid out:
//
//	name  [=====>    ]  42%  84.0/200 MiB  10.2 MiB/s  11s
//
// A width of 0 leaves a column out.
type columns struct{ name, bar, percent, size, rate, left int }

// The widest texts of the columns: "100%", "1023 KiB/1023 MiB", "1023 MiB/s" and
// "999h59m". Two spaces go before each.
const (
	gap          = 2
	percentWidth = 4
	sizeWidth    = 17
	rateWidth    = 10
	leftWidth    = 7
	minName      = 20 // enough to tell files apart
	minBar       = 8
	maxBar       = 50
)

// columnsFor lays a line out for a width. The figures come first, then a name
// that tells files apart, or needs so many columns, then the bar; a long name gets
// what is left.
func columnsFor(width, widestName, needed int) columns {
	needed = max(needed, minName)
	c := columns{percent: percentWidth, size: sizeWidth, rate: rateWidth, left: leftWidth}
	rest := func() int {
		used := 0
		for _, n := range []int{c.percent, c.size, c.rate, c.left} {
			if n > 0 {
				used += gap + n
			}
		}
		return width - used
	}
	for _, drop := range []*int{&c.size, &c.left, &c.rate, &c.percent} {
		if rest() >= needed {
			break
		}
		*drop = 0
	}
	c.name = max(rest(), 0)
	if spare := c.name - needed - gap; spare >= minBar {
		name := min(widestName, max(needed, c.name*3/5))
		c.bar = min(c.name-max(name, needed)-gap, maxBar)
		c.name -= gap + c.bar
		c.name = min(c.name, max(name, needed))
	}
	return c
}

// line writes one line. why takes the place of rate and time when nothing moves.
func (c columns) line(name string, current, total int64, rate float64, why string) string {
	speed, remaining := "", ""
	if rate > 0 {
		speed = bytesText(int64(rate)) + "/s"
	}
	if d, ok := left(current, total, rate); ok {
		remaining = span(d)
	}
	return c.write(name, current, total, sizes(current, total), speed, remaining, why)
}

// batchLine writes the line of a batch. How far it is, the links tell: nobody knows
// the sizes of what has not been asked for.
func (c columns) batchLine(v view) string {
	speed, remaining := "", ""
	if v.rate >= 1 {
		speed = bytesText(int64(v.rate)) + "/s"
	}
	if v.batch.known {
		remaining = span(v.batch.left)
	}
	return c.write(c.counts(v), int64(v.done+v.failed), int64(v.files), bytesText(v.current), speed, remaining, "")
}

// counts is what the column of names has of the counts: where it is narrow, fewer of
// them, as a number that is cut is another one.
func (c columns) counts(v view) string {
	for _, text := range []string{counts(v), fmt.Sprintf("%d/%d, %d failed", v.done, v.files, v.failed), fmt.Sprintf("%d/%d", v.done, v.files)} {
		if displayWidth(text) <= c.name {
			return text
		}
	}
	return ""
}

// write writes the texts into their columns; bar and percentage show how much of
// total current is.
func (c columns) write(name string, current, total int64, size, speed, remaining, why string) string {
	var b strings.Builder
	b.WriteString(fit(name, c.name))
	column := func(width int, text string) {
		if width > 0 {
			fmt.Fprintf(&b, "%*s", gap+width, text)
		}
	}
	if c.bar > 0 {
		b.WriteString(strings.Repeat(" ", gap) + barText(current, total, c.bar))
	}
	percentText := ""
	if total > 0 {
		percentText = fmt.Sprintf("%d%%", percent(current, total))
	}
	column(c.percent, percentText)
	column(c.size, size)
	if space := c.rate + gap + c.left; why != "" && c.rate > 0 && c.left > 0 {
		b.WriteString(strings.Repeat(" ", gap) + fit(why, space))
	} else {
		column(c.rate, speed)
		column(c.left, remaining)
	}
	return strings.TrimRight(b.String(), " ")
}

// barText draws a bar of the given width, ends included; an empty one while the
// total is not known. It is ASCII: every terminal has it, and it has one width.
func barText(current, total int64, width int) string {
	inner := width - 2
	filled := 0
	if total > 0 {
		filled = int(float64(inner) * float64(min(current, total)) / float64(total))
	}
	text := strings.Repeat("=", filled)
	if filled > 0 && filled < inner {
		text = text[:filled-1] + ">"
	}
	return "[" + text + strings.Repeat(" ", inner-filled) + "]"
}

// percent is rounded down: 100 means all.
func percent(current, total int64) int {
	return int(float64(min(current, total)) * 100 / float64(total))
}

// sizes writes how much of how much there is, the unit once where it is one.
func sizes(current, total int64) string {
	switch {
	case total < 0 && current == 0:
		return ""
	case total < 0:
		return bytesText(current)
	}
	now, all := bytesText(current), bytesText(total)
	nowNumber, nowUnit, _ := strings.Cut(now, " ")
	if _, allUnit, _ := strings.Cut(all, " "); nowUnit == allUnit {
		now = nowNumber
	}
	return now + "/" + all
}

// bytesText writes a number of bytes with three digits.
func bytesText(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n) // there are no fractions of a byte
	}
	return humanize.IBytesN(uint64(n), 3)
}

// span writes a duration with its two largest units.
func span(d time.Duration) string {
	seconds := int64(d.Round(time.Second) / time.Second)
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm%02ds", seconds/60, seconds%60)
	default:
		return fmt.Sprintf("%dh%02dm", seconds/3600, seconds/60%60)
	}
}

// displayWidth is how many columns of a terminal the text takes.
func displayWidth(text string) int { return runewidth.StringWidth(text) }

// fit shortens or pads the text to exactly width columns. What is cut comes from
// the middle: names differ at their ends.
func fit(text string, width int) string {
	const dots = "..."
	if displayWidth(text) > width {
		if width <= len(dots) {
			return runewidth.FillRight(runewidth.Truncate(text, width, ""), width)
		}
		tail := (width - len(dots)) / 2
		head := width - len(dots) - tail
		text = runewidth.Truncate(text, head, "") + dots + lastColumns(text, tail)
	}
	return runewidth.FillRight(text, width)
}

// lastColumns returns the end of the text that takes at most width columns.
func lastColumns(text string, width int) string {
	return runewidth.TruncateLeft(text, displayWidth(text)-width, "")
}
