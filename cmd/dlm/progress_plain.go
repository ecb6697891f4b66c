package main

import (
	"fmt"
	"strings"
	"time"
)

// plainEvery is how long nothing is said: short work stays silent, and the log
// of a long one stays readable.
const plainEvery = 5 * time.Second

// plainDisplay says every few seconds how far the work is.
type plainDisplay struct {
	ui   *ui
	last time.Duration // when something was said; 0: nothing yet
}

func (d *plainDisplay) show(v view) {
	if v.elapsed-d.last >= plainEvery {
		d.last = v.elapsed
		d.ui.note("%s", plainLine(v))
	}
}

func (d *plainDisplay) end(v view) {
	if d.last > 0 {
		d.ui.summarize(v)
	}
}

// plainLine is a view in one line.
func plainLine(v view) string {
	if v.batch != nil {
		return counts(v) + ": " + v.batch.amounts(v)
	}
	if v.files == 1 && len(v.running) == 1 {
		r := v.running[0]
		return r.label + ": " + amounts(r.current, r.total, r.rate, waitsFor(r))
	}
	text := counts(v) + ": " + amounts(v.current, v.total, v.rate, "")
	for _, r := range v.running {
		if why := waitsFor(r); why != "" {
			text += "; " + r.label + ": " + why
		}
	}
	return text
}

// counts says how many files of how many are over.
func counts(v view) string {
	text := fmt.Sprintf("%d/%d files", v.done, v.files)
	if v.failed > 0 {
		text += fmt.Sprintf(", %d failed", v.failed)
	}
	return text
}

// amounts says how far something is, and why it does not get on, if so.
func amounts(current, total int64, rate float64, why string) string {
	var parts []string
	switch {
	case total > 0:
		parts = append(parts, fmt.Sprintf("%s of %s (%d%%)", bytesText(current), bytesText(total), percent(current, total)))
	case current > 0:
		parts = append(parts, bytesText(current))
	}
	if why != "" {
		return strings.Join(append(parts, why), ", ")
	}
	if rate > 0 {
		parts = append(parts, bytesText(int64(rate))+"/s")
	}
	if d, ok := left(current, total, rate); ok {
		parts = append(parts, span(d)+" left")
	}
	if len(parts) == 0 {
		return "starting"
	}
	return strings.Join(parts, ", ")
}

// waitsFor says what a download waits for when no bytes come, else "".
func waitsFor(r row) string {
	switch {
	case r.awaited != "":
		return "in " + r.awaited
	case r.state == "verifying":
		return "checking"
	case r.state == "landing":
		return "flushing to disk"
	case r.state == "unpacking":
		return "unpacking"
	case r.state == "placing":
		return "placing the copy"
	case r.silent < silence:
		return ""
	case r.current == 0:
		return "no answer for " + span(r.silent)
	default:
		return "no data for " + span(r.silent)
	}
}

// summarize says how all ended, after progress was shown.
func (u *ui) summarize(v view) {
	if v.fetched == 0 {
		return
	}
	files := "1 file"
	if v.fetched > 1 {
		files = fmt.Sprintf("%d files", v.fetched)
	}
	u.note("fetched %s, %s in %s (%s/s)", files, bytesText(v.landed), span(v.elapsed),
		bytesText(int64(float64(v.landed)/v.elapsed.Seconds())))
}
