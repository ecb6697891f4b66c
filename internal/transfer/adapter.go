package transfer

import "time"

const (
	// lookEvery is half a window: the two halves of the first tell whether the
	// stream is still gaining speed by itself, as TCP's slow start does.
	lookEvery = 100 * time.Millisecond
	// window is how long is looked before anything is concluded: servers send in
	// bursts, nginx's limit_rate say a few a second.
	window = 200 * time.Millisecond
	// patience is how long new connections may take to bring their first byte.
	patience = 2 * time.Second
	// growth is by how much twice the connections have to be faster. A server that
	// limits each makes it 2, one that limits them all 1, and noise a little more.
	growth = 1.3
	// linear is the growth from which on the server plainly limits each connection:
	// then not the double but leap times as many are tried next, since each step
	// takes a while.
	linear = 1.6
	leap   = 8
	// worthFirst and worthMore are how much longer the download has to last, at the
	// present rate, for a second connection to be tried, and for more when that has
	// helped.
	worthFirst = 3 * time.Second
	worthMore  = 500 * time.Millisecond
	// fastEnough is the rate, in bytes per second, of one connection that is not to be
	// helped: no server limits each connection to so much (object stores give some
	// 100 MB/s), so that it is this machine or its network that has no more. With
	// several, processors that are busy already would only be busier.
	fastEnough = 400 << 20
	// firstRest is how long nothing is tried after a trial that did not help; each
	// one makes it twice as long.
	firstRest = 10 * time.Second
)

// adapter decides how many connections there should be: it doubles them as long
// as that makes the whole faster. It knows no clock and does nothing itself.
type adapter struct {
	since  time.Duration // when the window began
	moved  int64         // bytes in it
	half   float64       // the rate in its first half
	base   float64       // the rate before the trial
	before int           // connections before the trial; 0: there is none
	tried  time.Duration // when it began
	resume time.Duration // nothing is tried before
	rest   time.Duration
}

func newAdapter() adapter { return adapter{rest: firstRest} }

// look takes in how many bytes have come since the last look, and returns how
// many connections there should be of at most most. now is the time since the
// beginning; active is how many there are, ready whether all have brought something.
func (a *adapter) look(now time.Duration, moved, left int64, active int, ready bool, most int) int {
	a.moved += moved
	if a.before > 0 && !ready && now-a.tried < patience {
		a.begin(now) // the new ones are still connecting
		return active
	}
	elapsed := now - a.since
	if elapsed < window {
		a.half = float64(a.moved) / elapsed.Seconds()
		return active
	}
	rate := float64(a.moved) / elapsed.Seconds()
	rising := 2*rate-a.half > growth*a.half && a.half > 0 // the second half against the first
	a.begin(now)
	if a.before > 0 {
		return a.judge(now, rate, left, active, most)
	}
	if now < a.resume || active == 1 && rising {
		return active
	}
	return a.try(now, rate, left, active, 2*active, most)
}

// begin begins a window.
func (a *adapter) begin(now time.Duration) { a.since, a.moved, a.half = now, 0, 0 }

// judge ends a trial.
func (a *adapter) judge(now time.Duration, rate float64, left int64, active, most int) int {
	before := a.before
	a.before = 0
	switch {
	case rate >= linear*a.base:
		return a.try(now, rate, left, active, leap*active, most)
	case rate >= growth*a.base:
		return a.try(now, rate, left, active, 2*active, most)
	}
	a.resume = now + a.rest
	a.rest *= 2
	return min(active, before)
}

// abandon ends a trial for which there was no connection, which tells nothing.
func (a *adapter) abandon(now time.Duration) {
	if a.before > 0 {
		a.before, a.resume = 0, now+worthFirst
	}
}

// try begins a trial with more connections, if that may be worth it.
func (a *adapter) try(now time.Duration, rate float64, left int64, active, more, most int) int {
	worth := worthMore
	if active == 1 {
		worth = worthFirst
	}
	if active >= most || rate <= 0 || active == 1 && rate > fastEnough || float64(left) < rate*worth.Seconds() {
		return active
	}
	a.base, a.before, a.tried = rate, active, now
	return min(more, most)
}
