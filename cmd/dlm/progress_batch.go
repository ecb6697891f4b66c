package main

import (
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/batch"
)

// batchView is what the view of a batch has more.
type batchView struct {
	left  time.Duration // until all is over, at the pace so far
	known bool
}

// amounts says how far the batch is, beside the links.
func (b *batchView) amounts(v view) string {
	parts := []string{bytesText(v.current)}
	if v.rate >= 1 {
		parts = append(parts, bytesText(int64(v.rate))+"/s")
	}
	if b.known {
		parts = append(parts, span(b.left)+" left")
	}
	return strings.Join(parts, ", ")
}

// received counts the bytes of what is over.
type received struct{ bytes atomic.Int64 }

func (r *received) add(n int64) { r.bytes.Add(n) }

// shownRows is how many running downloads a batch shows: they fit on any screen.
const shownRows = 8

// batchBoard looks at a batch. Only one goroutine may use it.
type batchBoard struct {
	job    *batch.Job
	m      *dlmanager.DownloadManager
	landed *received
	rows   *board
	begun  time.Time
	over   int // links that were over before
	seen   map[*dlmanager.Download]*job
	next   int
	order  map[*job]int
	past   []sample
}

// sample is how many bytes had come at a time.
type sample struct {
	at    time.Time
	bytes int64
}

// rateOver is what the rate is an average of: single small files make it jump.
const rateOver = 5 * time.Second

func newBatchBoard(j *batch.Job, m *dlmanager.DownloadManager, landed *received, now time.Time) *batchBoard {
	stats := j.Stats()
	return &batchBoard{
		job: j, m: m, landed: landed, rows: newBoard(nil, now), begun: now, over: stats.Done + stats.Failed,
		seen: map[*dlmanager.Download]*job{}, order: map[*job]int{},
	}
}

// look returns how the batch stands.
func (b *batchBoard) look(now time.Time) view {
	s := b.job.Stats()
	v := view{
		elapsed: now.Sub(b.begun), files: s.Links, done: s.Done, failed: s.Failed,
		current: s.Bytes, total: -1, batch: &batchView{},
	}
	coming := b.addRunning(&v, now)
	v.current += coming
	v.rate = b.rate(sample{now, b.landed.bytes.Load() + coming})
	if over := s.Done + s.Failed - b.over; over > 0 {
		v.batch.left, v.batch.known = v.elapsed/time.Duration(over)*time.Duration(s.Left), true
	}
	return v
}

// addRunning adds the rows of what is running, in the order in which it was first
// seen, and returns the bytes that have come of it.
func (b *batchBoard) addRunning(v *view, now time.Time) (coming int64) {
	running := map[*dlmanager.Download]*job{}
	var shown []*job
	for _, d := range b.m.Downloads() {
		switch p := d.Progress(); p.State {
		case dlmanager.StateNew, dlmanager.StateQueued, dlmanager.StateWaiting, dlmanager.StateDone:
		default:
			j := b.jobOf(d)
			running[d] = j
			shown = append(shown, j)
			coming += p.Current
		}
	}
	for d, j := range b.seen {
		if running[d] == nil {
			delete(b.order, j)
			delete(b.rows.heard, j)
		}
	}
	b.seen = running
	slices.SortFunc(shown, func(x, y *job) int { return b.order[x] - b.order[y] })
	for _, j := range shown[:min(len(shown), shownRows)] {
		v.running = append(v.running, b.rows.row(j, j.download.Progress(), now))
		v.widest = max(v.widest, displayWidth(printable(j.label)))
	}
	return coming
}

func (b *batchBoard) jobOf(d *dlmanager.Download) *job {
	if j := b.seen[d]; j != nil {
		return j
	}
	j := &job{url: d.URL(), name: filepath.Base(d.Dest()), label: filepath.Base(d.Dest()), download: d}
	b.next++
	b.order[j] = b.next
	return j
}

// rate is how many bytes a second came lately.
func (b *batchBoard) rate(now sample) float64 {
	for len(b.past) > 0 && now.at.Sub(b.past[0].at) > rateOver {
		b.past = b.past[1:]
	}
	b.past = append(b.past, now)
	span := now.at.Sub(b.past[0].at).Seconds()
	if span <= 0 {
		return 0
	}
	return max(float64(now.bytes-b.past[0].bytes)/span, 0)
}
