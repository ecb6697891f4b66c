package dlmanager

import (
	"errors"
	"math"
	"math/rand/v2"
	"time"
)

// RequestStrategy decides, after a request that did not bring the file to its
// end, whether there is another one. Next is called from the download's
// goroutine, for one download at a time; a strategy that is shared by several
// downloads must be safe for concurrent use.
type RequestStrategy interface {
	// Next returns how long to wait and whether to try again then. A server's
	// Retry-After is waited for in any case, if it is longer.
	Next(Attempt) (wait time.Duration, again bool)
}

// Attempt is what a RequestStrategy decides by.
type Attempt struct {
	Number int   // of requests so far, 1 after the first
	Barren int   // how many of them, the last ones, brought nothing new; 0 when the last one did
	Offset int64 // bytes, the furthest that was reached
	Gained int64 // bytes that the last one added to that
	Err    error // what ended the last one: a *TransferError or a *StatusError; see IsTemporary
}

// Once never tries again.
type Once struct{}

// Next implements RequestStrategy.
func (Once) Next(Attempt) (time.Duration, bool) { return 0, false }

// Lenient tries up to five times, a minute apart, whatever the failure was,
// unless the file is not there.
type Lenient struct{}

// Next implements RequestStrategy.
func (Lenient) Next(a Attempt) (time.Duration, bool) {
	return time.Minute, a.Number < 5 && !errors.Is(a.Err, ErrNotFound)
}

// BackOff tries up to ten times and waits .25, .5, 1, 2, 4, 8, 16, 32, and then
// 60 seconds, unless the failure is permanent.
type BackOff struct{}

// Next implements RequestStrategy.
func (BackOff) Next(a Attempt) (time.Duration, bool) {
	wait := time.Duration(math.Ldexp(0.25, a.Number-1) * float64(time.Second))
	return min(wait, time.Minute), a.Number < 10 && IsTemporary(a.Err)
}

const (
	// defaultAttempts is how many requests in a row may bring nothing.
	defaultAttempts = 5
	// firstWait and longestWait bound the default's waits. Half a second lets a
	// server restart behind its balancer; above half a minute people restart
	// the command themselves.
	firstWait   = 500 * time.Millisecond
	longestWait = 30 * time.Second
	// enough is what a request has to bring, in bytes, for the next one to follow
	// at once: a server that cuts every connection after some megabytes is not
	// helped by a pause.
	enough = 1 << 20
)

// Patient is the default: it tries until Attempts requests in a row have brought
// nothing new, and waits twice as long each time, up to half a minute, with
// jitter, so that many clients do not come back at once. A request that brings
// the download further starts the count anew; after one that has brought a
// mebibyte or more the next one follows at once. A permanent failure ends it.
type Patient struct {
	Attempts int // 0: 5; 1: one request in all
}

// Next implements RequestStrategy.
func (p Patient) Next(a Attempt) (time.Duration, bool) {
	most := p.Attempts
	if most == 0 {
		most = defaultAttempts
	}
	if !IsTemporary(a.Err) || a.Barren >= most || most == 1 {
		return 0, false
	}
	switch {
	case a.Gained >= enough:
		return 0, true
	case a.Barren == 0:
		return jitter(firstWait), true
	}
	return jitter(min(firstWait<<min(a.Barren, 10), longestWait)), true
}

// jitter returns between half and all of d ("equal jitter").
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
