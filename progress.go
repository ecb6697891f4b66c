package dlmanager

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ProgressFunc is told how far a download is, in bytes: first when the headers
// are there, then as bytes arrive, last with current equal to total. total is
// -1 while it is unknown. A file that was there already is reported once, as
// (n, n). Calls for one download come one after the other, and the transfer waits
// for them; only who follows a download that has succeeded already is told by a
// call of its own. A ProgressFunc may call the download's methods, except those that
// wait for it. One that panics fails its download.
type ProgressFunc func(d *Download, current, total int64)

// Progress is a moment of a download.
type Progress struct {
	State       State
	Current     int64   // bytes that have arrived
	Total       int64   // bytes in all, -1 when unknown
	Rate        float64 // bytes per second over the last seconds
	Attempt     int     // requests made so far
	Connections int     // open now
	AwaitedFrom string  // who fetches the file while this download waits for it, for example "process 4711"; "": nobody
}

// State is where a download is in its life.
type State int

const (
	StateNew          State = iota // not started
	StateQueued                    // waits for its turn
	StateAwaiting                  // another process fetches the file
	StateTransferring              // asks, and receives
	StateWaiting                   // waits to try again
	StateVerifying                 // all is there: its checksum is held against what it should be
	StateLanding                   // all is there: it is flushed and gets its name
	StateDone                      // Err and Result tell how it ended
)

func (s State) String() string {
	return [...]string{"new", "queued", "awaiting", "transferring", "waiting", "verifying", "landing", "done"}[s]
}

// meter counts what arrives. One goroutine writes, any may read.
type meter struct {
	current, total atomic.Int64
	connections    atomic.Int32
	rate           atomic.Uint64 // float64 bits, as of when the window began
	windowStart    atomic.Int64  // since beginning
	windowBytes    int64         // the writer's
}

// beginning is what times are counted from that go into one word. It has the clock that
// nobody sets.
var beginning = time.Now()

const (
	// rateWindow is how long bytes are counted for one figure: servers send in
	// bursts, and below 200 ms a rate shows these.
	rateWindow = 200 * time.Millisecond
	// rateMemory is how long the past counts: the figure follows within seconds
	// and does not flicker.
	rateMemory = 3 * time.Second
)

func (m *meter) start(at, total int64, now time.Time) {
	m.current.Store(at)
	m.total.Store(total)
	m.begin(now)
}

// begin begins a window.
func (m *meter) begin(now time.Time) {
	m.windowStart.Store(int64(now.Sub(beginning)))
	m.windowBytes = 0
}

func (m *meter) advance(n int64, now time.Time) {
	m.current.Add(n)
	m.windowBytes += n
	elapsed := now.Sub(beginning) - time.Duration(m.windowStart.Load())
	if elapsed < rateWindow {
		return
	}
	rate := float64(m.windowBytes) / elapsed.Seconds()
	if before := math.Float64frombits(m.rate.Load()); before > 0 {
		keep := math.Exp(-elapsed.Seconds() / rateMemory.Seconds())
		rate = before*keep + rate*(1-keep)
	}
	m.rate.Store(math.Float64bits(rate))
	m.begin(now)
}

// read returns what is known at now. The rate fades while nothing comes.
func (m *meter) read(now time.Time) (current, total int64, rate float64) {
	rate = math.Float64frombits(m.rate.Load())
	if silence := now.Sub(beginning) - time.Duration(m.windowStart.Load()) - rateMemory; silence > 0 {
		rate *= math.Exp(-silence.Seconds() / rateMemory.Seconds())
	}
	return m.current.Load(), m.total.Load(), rate
}

// observers are the functions that follow one download.
type observers struct {
	mu   sync.Mutex // guards list and next; not held while calling
	list []observer // replaced, never changed: a call in progress keeps its own
	next int

	calling sync.Mutex // serialises the calls
}

type observer struct {
	id   int
	fn   ProgressFunc
	told *bool // the end; guarded by calling
}

// primary is the id of the observer that SetProgress replaces.
const primary = 0

// set replaces the observer with the id; fn nil removes it.
func (o *observers) set(id int, fn ProgressFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(o.list), func(x observer) bool { return x.id == id })
	if fn != nil {
		list = append(list, observer{id, fn, new(bool)})
	}
	o.list = list
}

// newID returns an id that no observer has.
func (o *observers) newID() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next++
	return o.next
}

func (o *observers) snapshot() []observer {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.list
}

// notify calls all observers, one after the other, and returns the first panic
// as an error.
func (o *observers) notify(d *Download, current, total int64) error {
	list := o.snapshot()
	if len(list) == 0 {
		return nil
	}
	o.calling.Lock()
	defer o.calling.Unlock()
	for _, x := range list {
		*x.told = current == total
		if err := guard("progress function", func() { x.fn(d, current, total) }); err != nil {
			return err
		}
	}
	return nil
}

// tellEnd calls those who came when the last report had been made.
func (o *observers) tellEnd(d *Download, size int64) error {
	o.calling.Lock()
	defer o.calling.Unlock()
	for _, x := range o.snapshot() {
		if *x.told {
			continue
		}
		*x.told = true
		if err := guard("progress function", func() { x.fn(d, size, size) }); err != nil {
			return err
		}
	}
	return nil
}
