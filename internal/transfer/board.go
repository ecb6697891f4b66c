package transfer

import (
	"context"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"sync"
	"time"
)

// board is a file on its way: which part each line receives, and what is stored.
// A line that is done takes what nobody is at work on, or else a share of the
// part that is going to last longest.
type board struct {
	sink   Sink
	tap    Tap
	cancel context.CancelCauseFunc // ends all lines; set before there are several

	mu      sync.Mutex // guards all below; held while Stored is called
	result  Result     // what is stored
	parts   []*part    // in order, without overlaps; together with what is stored the whole file
	first   part       // one of them, and
	room    [1]*part   // a list of it alone: most files are received in one part
	running int        // lines at work
	latency time.Duration
	failure error // the first that is not a single line's
}

// part is a piece of the file that one line receives at a time.
type part struct {
	from, at, end int64 // at: the next byte; end: the first one beyond, openEnd if unknown
	busy          int64 // up to where something is just being stored, if that is beyond at
	crc           uint32
	line          *line     // who is at work on it; nil: nobody
	reach         int64     // up to where that line's answer goes
	since         time.Time // when that began
	begun         int64     // where
}

// openEnd is the end of a file of unknown size.
const openEnd = math.MaxInt64

// newBoard returns the board of a file of which have is stored.
func newBoard(have Result, sink Sink, tap Tap, cancel context.CancelCauseFunc) *board {
	b := &board{}
	b.begin(&have, sink, tap, cancel)
	return b
}

// begin makes b the board of a file of which have is stored.
func (b *board) begin(have *Result, sink Sink, tap Tap, cancel context.CancelCauseFunc) {
	b.sink, b.tap, b.cancel, b.result = sink, tap, cancel, *have
	b.result.Ranges = slices.Clone(have.Ranges) // the caller's own stays as it is
	end := int64(openEnd)
	if have.Exact {
		end = have.Total
	}
	p := &b.first // of which nothing may be stored
	p.end = end
	b.parts = append(b.room[:0], p)
	for _, s := range have.Stored() {
		if s.From > 0 {
			p.end = s.From
			p = &part{from: s.From, end: end}
			b.parts = append(b.parts, p)
		}
		p.at, p.crc = s.To, s.CRC32C
	}
}

// left returns how many bytes are still to come.
func (p *part) left() int64 { return p.end - p.at }

// spare returns how many of them another line can have: all but what is just being
// stored.
func (p *part) spare() int64 { return p.end - max(p.at, p.busy) }

// speed returns the bytes per second since the line began with it; 0: unknown.
func (p *part) speed(now time.Time) float64 {
	took := now.Sub(p.since).Seconds()
	if p.line == nil || took <= 0 {
		return 0
	}
	return float64(p.at-p.begun) / took
}

// take gives a line its next part; nil: there is none worth a request.
func (b *board) take(l *line) *part {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.parts {
		if p.line == nil && p.left() > 0 {
			return p.give(l, time.Now())
		}
	}
	if !slices.ContainsFunc(b.parts, (*part).isDivisible) {
		return nil // and nobody had to look at the clock, as with every small file
	}
	now := time.Now()
	if p := b.slowest(now); p != nil {
		return b.split(p, l.speed, now).give(l, now)
	}
	return nil
}

// isShareable reports whether take has a part for one more line.
func (b *board) isShareable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.slowest(time.Now()) != nil ||
		slices.ContainsFunc(b.parts, func(p *part) bool { return p.line == nil && p.left() > 0 })
}

func (p *part) give(l *line, now time.Time) *part {
	p.line, p.since, p.begun, p.reach = l, now, p.at, p.end
	return p
}

const (
	// minSplit is the least that is worth another request, in bytes.
	minSplit = 128 << 10
	// minSplitTime, and splitLatencies times the time that a request takes to be
	// answered, is how much longer a part has to last for another line to help:
	// it gains half of that at most, and pays for connecting.
	minSplitTime   = 100 * time.Millisecond
	splitLatencies = 4
)

// isDivisible reports whether there is enough in the part for its line and another.
func (p *part) isDivisible() bool {
	return p.line != nil && p.end != openEnd && p.spare() >= minSplit
}

// slowest returns the part that is going to last longest; nil if none lasts long
// enough to share.
func (b *board) slowest(now time.Time) *part {
	longest := (minSplitTime + splitLatencies*b.latency).Seconds()
	usual := b.usualSpeed(now)
	var slowest *part
	for _, p := range b.parts {
		if !p.isDivisible() {
			continue
		}
		speed := p.speed(now)
		if speed == 0 {
			speed = usual // it has just begun
		}
		if lasts := float64(p.spare()) / speed; lasts > longest {
			slowest, longest = p, lasts
		}
	}
	return slowest
}

// usualSpeed returns the mean of the lines' speeds, in bytes per second; one byte
// when none has received anything.
func (b *board) usualSpeed(now time.Time) float64 {
	var sum, n float64
	for _, p := range b.parts {
		if speed := p.speed(now); speed > 0 {
			sum, n = sum+speed, n+1
		}
	}
	if n == 0 {
		return 1
	}
	return sum / n
}

// split cuts the part in two, so that its line and one of the given speed (0:
// unknown, as fast) are done at the same time, and returns the second one.
func (b *board) split(p *part, speed float64, now time.Time) *part {
	share := 0.5
	if other := p.speed(now); speed > 0 && other > 0 {
		share = min(max(other/(other+speed), 1./16), 15./16)
	}
	middle := p.end - int64(float64(p.spare())*(1-share))
	second := &part{from: middle, at: middle, end: p.end}
	p.end = middle
	b.parts = slices.Insert(b.parts, slices.Index(b.parts, p)+1, second)
	return second
}

// drop takes the part from its line.
func (b *board) drop(p *part) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.line = nil
	b.reclaim()
	b.merge()
}

// reclaim gives parts of which nothing came back to the line before, if its answer
// reaches that far: nobody has to ask for them again.
func (b *board) reclaim() {
	var before *part // the last one with a line
	for _, p := range b.parts {
		switch {
		case p.line != nil:
			before = p
		case p.from == p.end: // nothing in it
		case before != nil && p.at == p.from && before.end == p.from && before.reach >= p.end:
			before.end, p.end = p.end, p.from
		default:
			before = nil
		}
	}
}

// close says that the part ends where it is: the file's size is known now.
func (b *board) close(p *part) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.end == openEnd {
		p.end = p.at
	}
}

// merge joins parts that are done, and leaves out those with nothing in them.
func (b *board) merge() {
	if b.isOnePart() {
		return
	}
	var kept []*part
	for _, p := range b.parts {
		if p.line == nil && p.from == p.end {
			continue
		}
		if n := len(kept); n > 0 && p.isDone() && kept[n-1].isDone() && kept[n-1].end == p.from {
			last := kept[n-1]
			last.crc = combineCRC(last.crc, p.crc, p.end-p.from)
			last.at, last.end = p.at, p.end
			continue
		}
		kept = append(kept, p)
	}
	b.parts = kept
}

// isOnePart reports whether the file was not divided, and is not empty. It needs mu.
func (b *board) isOnePart() bool {
	return len(b.parts) == 1 && b.parts[0].from == 0 && b.parts[0].end > 0
}

func (p *part) isDone() bool { return p.line == nil && p.at == p.end }

// store writes what a line has received to its part. It reports how many bytes
// belonged to it, less than all when the rest was given to another line, and
// whether it is done.
func (b *board) store(p *part, chunk []byte) (n int, done bool, err error) {
	b.mu.Lock()
	at, crc := p.at, p.crc
	n = int(min(int64(len(chunk)), p.left()))
	p.busy = at + int64(n)
	b.mu.Unlock()
	if n == 0 {
		return 0, true, nil
	}
	stored, err := b.sink.WriteAt(chunk[:n], at)
	if err == nil && stored < n {
		err = io.ErrShortWrite
	}
	if err != nil {
		return 0, false, err
	}
	sum := crc32.Update(crc, castagnoli, chunk[:n])
	b.mu.Lock()
	defer b.mu.Unlock()
	p.at, p.crc = p.at+int64(n), sum
	b.tally(p)
	return n, p.at == p.end, b.sink.Stored(&b.result, n)
}

// tally brings the result up to date with what is in the parts.
func (b *board) tally(p *part) {
	r := &b.result
	r.Connections = b.running
	if len(b.parts) == 1 && p.from == 0 {
		r.N, r.CRC32C, r.Ranges = p.at, p.crc, nil
		return
	}
	r.N, r.CRC32C, r.Ranges = 0, 0, r.Ranges[:0]
	for _, p := range b.parts {
		r.N += p.at - p.from
		if n := len(r.Ranges); n > 0 && r.Ranges[n-1].To == p.from {
			last := &r.Ranges[n-1]
			last.To, last.CRC32C = p.at, combineCRC(last.CRC32C, p.crc, p.at-p.from)
		} else if p.at > p.from {
			r.Ranges = append(r.Ranges, Range{p.from, p.at, p.crc})
		}
	}
}

// snapshot returns what is stored.
func (b *board) snapshot() Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.merge()
	r := b.result
	r.Connections = 0
	if b.isOnePart() {
		r.N, r.CRC32C, r.Ranges = b.parts[0].at, b.parts[0].crc, nil
		return r
	}
	var stored []Range
	for _, p := range b.parts {
		if p.at > p.from {
			stored = append(stored, Range{p.from, p.at, p.crc})
		}
	}
	return r.WithRanges(stored)
}

// fail ends all lines: err is not one line's alone.
func (b *board) fail(err error) {
	b.mu.Lock()
	if b.failure == nil {
		b.failure = err
	}
	b.mu.Unlock()
	b.cancel(err)
}

// remaining returns how much is still to come.
func (b *board) remaining() (left int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.parts {
		left += p.left()
	}
	return left
}
