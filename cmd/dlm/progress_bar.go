package main

import (
	"io"
	"strings"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// barDisplay shows a line for each running download, and one for all when there
// are several. It begins with the first look, so that work that is over by then
// leaves the screen alone.
type barDisplay struct {
	ui        *ui
	container *mpb.Progress
	bar       *mpb.Bar
	latest    atomic.Pointer[view]
	frame     []string // the lines being drawn; only the bar's goroutine uses it
}

func (d *barDisplay) show(v view) {
	d.latest.Store(&v)
	if d.container == nil {
		d.begin()
	}
}

// begin puts one bar on the screen: the last line. The lines above it extend it.
func (d *barDisplay) begin() {
	d.container = mpb.New(
		mpb.WithOutput(d.ui.err),
		mpb.WithRefreshRate(lookEvery),
		mpb.WithAutoRefresh(), // --progress bar holds where there is no terminal, too
	)
	d.bar = d.container.MustAdd(0, mpb.BarFillerFunc(d.lastLine),
		mpb.BarFillerTrim(), mpb.BarExtender(mpb.BarFillerFunc(d.otherLines), true))
	d.ui.divert(lineStart{d.container})
}

// lineStart begins each write at the start of the line. A terminal echoes Ctrl-C
// where the cursor is, and what moves it up again leaves it in that column.
type lineStart struct{ io.Writer }

const carriageReturn = "\r"

func (w lineStart) Write(lines []byte) (int, error) {
	if _, err := w.Writer.Write(append([]byte(carriageReturn), lines...)); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// end takes the lines off the screen.
func (d *barDisplay) end(v view) {
	if d.container == nil {
		return
	}
	d.bar.Abort(true)
	d.container.Wait()
	d.ui.divert(nil)
	d.ui.clearLine()
	d.ui.summarize(v)
}

// lastLine begins a frame, and otherLines ends it: both show the same view.
func (d *barDisplay) lastLine(w io.Writer, s decor.Statistics) error {
	// A terminal wraps early where it takes a character for wider than we do.
	const margin = 1
	d.frame = barLines(*d.latest.Load(), s.AvailableWidth-margin)
	d.frame[0] = carriageReturn + d.frame[0]
	_, err := io.WriteString(w, d.frame[len(d.frame)-1])
	return err
}

// otherLines writes from the bottom up: that is how the extender wants them.
func (d *barDisplay) otherLines(w io.Writer, _ decor.Statistics) error {
	var text strings.Builder
	for i := len(d.frame) - 2; i >= 0; i-- {
		text.WriteString(d.frame[i] + "\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// barLines is a view as lines that are at most width wide; there is at least one.
func barLines(v view, width int) []string {
	needed := 0
	if v.batch != nil || v.files > 1 {
		needed = displayWidth(counts(v))
	}
	c := columnsFor(width, v.widest, needed)
	var lines []string
	for _, r := range v.running {
		lines = append(lines, c.line(r.label, r.current, r.total, r.rate, waitsFor(r)))
	}
	switch {
	case v.batch != nil:
		lines = append(lines, c.batchLine(v))
	case v.files > 1 || len(lines) == 0:
		lines = append(lines, c.line(c.counts(v), v.current, v.total, v.rate, ""))
	}
	return lines
}
