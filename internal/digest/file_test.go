package digest

import (
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
)

var errDisk = errors.New("the disk is broken")

// file is written by a test and read by a stream. It counts how often each byte
// was read, and fails when one is read that was not written.
type file struct {
	gate chan struct{} // if not nil, each read takes one from it

	mu      sync.Mutex // guards all below
	content []byte
	written []bool
	reads   []uint8
	broken  int // no byte from here on can be read, if not 0
	reading int // reads that began
}

func newFile(seed uint64, size int) *file {
	f := &file{content: make([]byte, size), written: make([]bool, size), reads: make([]uint8, size)}
	rnd := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = rnd.Read(f.content)
	return f
}

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	f.mu.Lock()
	f.reading++
	f.mu.Unlock()
	if f.gate != nil {
		<-f.gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	from, to := int(off), int(off)+len(b)
	if f.broken > 0 && to > f.broken {
		return 0, errDisk
	}
	n := copy(b, f.content[min(from, len(f.content)):])
	for i := from; i < from+n; i++ {
		if !f.written[i] {
			return 0, errors.New("read before it was written")
		}
		f.reads[i]++
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// write writes what the file is to have in from..to, and returns it as a chunk.
func (f *file) write(from, to int) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := from; i < to; i++ {
		f.written[i] = true
	}
	return append([]byte(nil), f.content[from:to]...)
}

// timesRead returns how often each of the bytes from..to was read, at least and at
// most.
func (f *file) timesRead(from, to int) (least, most uint8) {
	f.mu.Lock()
	defer f.mu.Unlock()
	least = 255
	for _, n := range f.reads[from:to] {
		least, most = min(least, n), max(most, n)
	}
	return least, most
}

// want returns the digests of the first size bytes.
func (f *file) want(size int, algorithms ...Algorithm) []Digest {
	want := make([]Digest, len(algorithms))
	for i, a := range algorithms {
		want[i] = Digest{a, sum(a, string(f.content[:size]))}
	}
	return want
}

// loans counts chunks that were handed over and not released yet.
type loans struct {
	t   *testing.T
	out atomic.Int64
}

// lend returns a release for a chunk, which spoils the chunk: nobody may look at
// it any more.
func (l *loans) lend(chunk []byte) func() {
	l.out.Add(1)
	var released atomic.Bool
	return func() {
		assert.False(l.t, released.Swap(true), "released twice")
		clear(chunk)
		l.out.Add(-1)
	}
}

// split cuts size bytes into random parts.
func split(rnd *rand.Rand, from, size, longest int) [][2]int {
	var parts [][2]int
	for at := from; at < size; {
		to := min(size, at+1+rnd.IntN(longest))
		parts = append(parts, [2]int{at, to})
		at = to
	}
	return parts
}
