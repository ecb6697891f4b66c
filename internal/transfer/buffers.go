package transfer

import (
	"sync"
	"time"
)

// buffers is a pool of buffers of one size. Sizes follow the stream's speed, so
// that the memory of all transfers together follows what the network brings and
// not their number.
type buffers struct {
	size            int
	smaller, larger *buffers
	pool            sync.Pool
}

const (
	// minBuffer: as many bytes as one read of the connection brings at least. What
	// comes at 2 MB/s fills it 250 times a second.
	minBuffer = 8 << 10
	// maxBuffer: with half of it, 1 GiB over loopback costs a tenth more CPU;
	// twice of it would save some 4 % and take twice the memory.
	maxBuffer = 2 << 20
)

// firstBuffers is what a stream begins with: nobody knows yet how fast it is.
var firstBuffers = newBuffers().larger

// newBuffers makes the chain of pools, each four times the one before.
func newBuffers() *buffers {
	first := &buffers{size: minBuffer}
	for at := first; at.size < maxBuffer; at = at.larger {
		at.larger = &buffers{size: at.size * 4, smaller: at}
	}
	return first
}

func (p *buffers) get() *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, p.size)
	return &b
}

// put gives a buffer back; nil is none.
func (p *buffers) put(b *[]byte) {
	if b != nil {
		p.pool.Put(b)
	}
}

// follow returns the pool for the next read after one of n bytes. A filled
// buffer alone is no sign of speed: a server that holds a stream to 100 KB/s
// sends them all at once and then nothing for a second.
func (p *buffers) follow(n int, speed *pace) *buffers {
	rate, known := speed.rate()
	next := p
	switch {
	case n < p.size/16 && p.smaller != nil:
		next = p.smaller // most of it lies idle, however fast the rest comes
	case !known:
		return p
	case n == p.size && rate >= p.size:
		for next.larger != nil && rate >= next.size {
			next = next.larger
		}
	default:
		for next.smaller != nil && rate < next.size/16 {
			next = next.smaller
		}
	}
	return next
}

// pace is how fast a stream has come lately: what was read, and how long that
// took. The time that the sink takes is not in it, or a sink that is slow by the
// call would never get larger chunks.
type pace struct {
	n    int
	took time.Duration
}

// judged is how much time spent in reading says something about a speed. What
// the kernel holds ready at the start, some 100 KiB, is read in less; over
// loopback, 1 MiB takes about as long.
const judged = 250 * time.Microsecond

func (p *pace) add(n int, took time.Duration) { p.n, p.took = p.n+n, p.took+took }

// rate returns the speed in bytes per millisecond since it was last known, if
// that can be told by now. A buffer that one millisecond fills is read a thousand
// times a second at most; what that costs is lost in the rest.
func (p *pace) rate() (perMillisecond int, known bool) {
	if p.took < judged {
		return 0, false
	}
	perMillisecond = int(float64(p.n) / float64(p.took) * float64(time.Millisecond))
	*p = pace{}
	return perMillisecond, true
}
