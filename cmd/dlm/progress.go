package main

import (
	"os"
	"time"

	"github.com/vbauerster/mpb/v8/cwriter"

	"github.com/dlmanager/dlmanager"
)

// display shows how the work goes on. One goroutine calls its methods.
type display interface {
	// show is told what is under way, several times a second.
	show(view)
	// end is told how all ended, and takes from the screen what must not stay.
	end(view)
}

// listener is a display that is told of each file when it is over, too, by
// whoever has fetched it.
type listener interface{ finished(*job) }

// view is a moment of the work. Byte counts leave out what has failed.
type view struct {
	elapsed time.Duration
	running []row // in the order of the arguments
	files   int
	done    int
	failed  int
	fetched int   // of done: those that were not there before
	landed  int64 // bytes of fetched
	current int64
	total   int64 // -1: not known
	rate    float64
	widest  int        // the width of the widest label, on a screen
	batch   *batchView // of a batch; nil: the files' own sizes say how far it is
}

// row is one running download.
type row struct {
	url, name, label string
	state            string // queued is not among them
	current          int64
	total            int64 // -1: not known
	rate             float64
	silent           time.Duration // since the last byte
	awaited          string        // who fetches the file
}

// silence is how long no byte comes before we say so. A rate that is averaged
// over seconds would show speed where there is none.
const silence = 3 * time.Second

// board looks at the downloads. Only one goroutine may use it.
type board struct {
	jobs  []*job
	begun time.Time
	heard map[*job]heard
	width int
}

// heard is when a job was last seen to get on.
type heard struct {
	at      time.Time
	current int64
}

func newBoard(jobs []*job, now time.Time) *board {
	b := &board{jobs: jobs, begun: now, heard: map[*job]heard{}}
	for _, j := range jobs {
		b.width = max(b.width, displayWidth(printable(j.label)))
	}
	return b
}

// look returns how the work stands.
func (b *board) look(now time.Time) view {
	v := view{elapsed: now.Sub(b.begun), files: len(b.jobs), widest: b.width}
	for _, j := range b.jobs {
		if j.over.Load() {
			v.addOver(j)
			continue
		}
		p := j.progress()
		v.addBytes(p.Current, p.Total)
		switch p.State {
		case dlmanager.StateNew, dlmanager.StateQueued, dlmanager.StateWaiting: // a retry was announced
			delete(b.heard, j)
			continue
		}
		r := b.row(j, p, now)
		v.rate += r.rate
		v.running = append(v.running, r)
	}
	return v
}

func (v *view) addOver(j *job) {
	if j.err != nil {
		v.failed++
		return
	}
	v.done++
	if o := j.result.Origin; o == dlmanager.OriginFetched || o == dlmanager.OriginResumed {
		v.fetched++
		v.landed += j.result.WireBytes
	}
	v.addBytes(j.result.Bytes, j.result.Bytes)
}

func (v *view) addBytes(current, total int64) {
	v.current += current
	switch {
	case total < 0 || v.total < 0:
		v.total = -1
	default:
		v.total += total
	}
}

func (b *board) row(j *job, p dlmanager.Progress, now time.Time) row {
	last, known := b.heard[j]
	if !known || last.current != p.Current {
		last = heard{now, p.Current}
		b.heard[j] = last
	}
	r := row{
		url: j.url, name: j.name, label: printable(j.label), state: p.State.String(),
		current: p.Current, total: p.Total, rate: p.Rate, silent: now.Sub(last.at),
	}
	switch {
	case p.State == dlmanager.StateAwaiting:
		r.awaited = p.AwaitedFrom
	case p.State == dlmanager.StateDone && j.tree != nil:
		r.state, r.rate = "unpacking", 0
	case p.State == dlmanager.StateDone:
		r.state, r.rate = "placing", 0
	case p.State == dlmanager.StateLanding, r.silent >= silence:
		r.rate = 0
	}
	return r
}

// left is how long the rest takes at this rate; ok is false if nobody knows.
func left(current, total int64, rate float64) (d time.Duration, ok bool) {
	if total < 0 || rate < 1 {
		return 0, false
	}
	const tooLong = 1000 * time.Hour // beyond it the figure says nothing
	seconds := float64(total-current) / rate
	if seconds > tooLong.Seconds() {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// chooseDisplay finds the display that the flags ask for.
func (g *getCommand) chooseDisplay() display {
	kind := g.output.progress.word
	if kind == "auto" {
		switch {
		case g.output.quiet:
			kind = "none"
		case isTerminal(g.ui.err) && os.Getenv("TERM") != "dumb":
			kind = "bar"
		default:
			kind = "plain"
		}
	}
	switch kind {
	case "bar":
		return &barDisplay{ui: g.ui}
	case "plain":
		return &plainDisplay{ui: g.ui}
	case "json":
		return &jsonDisplay{ui: g.ui}
	default:
		return noDisplay{}
	}
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && cwriter.IsTerminal(int(f.Fd()))
}

// noDisplay shows nothing.
type noDisplay struct{}

func (noDisplay) show(view) {}
func (noDisplay) end(view)  {}

// follower shows the work while it lasts.
type follower struct {
	display  display
	listener listener // nil: the display is none
	stop     chan struct{}
	over     chan struct{} // closed when the goroutine has ended
}

// lookEvery is how often the work is looked at: a bar that moves more often
// costs more than it tells.
const lookEvery = 200 * time.Millisecond

// follow shows what look sees until end is called. It calls look from one
// goroutine.
func (g *getCommand) follow(look func(now time.Time) view) *follower {
	f := &follower{display: g.chooseDisplay(), stop: make(chan struct{}), over: make(chan struct{})}
	f.listener, _ = f.display.(listener)
	go func() {
		defer close(f.over)
		ticks := time.NewTicker(lookEvery)
		defer ticks.Stop()
		for {
			select {
			case now := <-ticks.C:
				f.display.show(look(now))
			case <-f.stop:
				f.display.end(look(time.Now()))
				return
			}
		}
	}()
	return f
}

// finished is told of each file when it is over.
func (f *follower) finished(j *job) {
	if f.listener != nil {
		f.listener.finished(j)
	}
}

// end shows how all ended and returns when nothing is shown any more.
func (f *follower) end() {
	close(f.stop)
	<-f.over
}
