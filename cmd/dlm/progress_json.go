package main

import (
	"time"

	"github.com/dlmanager/dlmanager"
)

// jsonEvery is how often a program is told how far a download is.
const jsonEvery = time.Second

// jsonDisplay writes one object a line to stderr, for programs: a "progress" for
// each running file every second, and a "finished" for each file. A line that
// does not begin with { is for people. jsonHelp lists the fields.
type jsonDisplay struct {
	ui   *ui
	last time.Duration
}

type progressEvent struct {
	Event   string  `json:"event"`
	URL     string  `json:"url"`
	Name    string  `json:"name"`
	State   string  `json:"state"`
	Current int64   `json:"current"`
	Total   int64   `json:"total"`
	Rate    float64 `json:"rate"`
}

func (d *jsonDisplay) show(v view) {
	if v.elapsed-d.last < jsonEvery {
		return
	}
	d.last = v.elapsed
	for _, r := range v.running {
		d.write(asJSON(progressEvent{
			Event: "progress", URL: dlmanager.RedactURL(r.url), Name: r.name,
			State: r.state, Current: r.current, Total: r.total, Rate: r.rate,
		}))
	}
}

// finishedEvent is a report with the event's name before it.
type finishedEvent struct {
	Event string `json:"event"`
	report
}

func (d *jsonDisplay) finished(j *job) {
	d.write(asJSON(finishedEvent{"finished", j.report()}))
}

func (d *jsonDisplay) end(view) {}

func (d *jsonDisplay) write(object []byte) {
	_, _ = d.ui.Write(append(object, '\n')) // ui's Write does not fail
}
