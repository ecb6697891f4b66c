package transfer

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// receive copies the body to the sink, in a loop of our own: io.Copy would hand
// it to the file's ReadFrom, which takes 32 KiB at a time whatever the speed.
func (f *fetch) receive(body io.Reader, result Result, sink io.WriterAt) (Result, error) {
	buf := smallest
	b := buf.get()
	defer func() { buf.put(b) }()
	for {
		f.watch.arm()
		n, err := body.Read(*b)
		f.watch.disarm()
		if n > 0 {
			if err := f.store((*b)[:n], &result, sink); err != nil {
				return result, err
			}
		}
		if errors.Is(err, io.EOF) {
			return result, f.whole(result)
		}
		if err != nil {
			return result, f.fail("read", result.N, err)
		}
		if next := buf.follow(n); next != buf {
			buf.put(b)
			buf, b = next, next.get()
		}
	}
}

// store puts one chunk into the sink.
func (f *fetch) store(chunk []byte, result *Result, sink io.WriterAt) error {
	if err := f.fits(result.N+int64(len(chunk)), result.Head); err != nil {
		return &Error{Op: "read", URL: result.FinalURL, Offset: result.N, Err: err}
	}
	n, err := sink.WriteAt(chunk, result.N)
	if err == nil && n < len(chunk) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return err
	}
	result.CRC32C = crc32.Update(result.CRC32C, castagnoli, chunk)
	result.N += int64(len(chunk))
	return nil
}

// fits checks the size of what there will be with the next chunk. net/http ends
// a body at its Content-Length; another transport may not.
func (f *fetch) fits(size int64, head Head) error {
	switch {
	case f.req.MaxSize > 0 && size > f.req.MaxSize:
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, f.req.MaxSize)
	case head.Exact && size > head.Total:
		return errTooLong
	}
	return nil
}

// whole checks the size of what arrived. net/http reports a body that is
// shorter than its Content-Length; another transport may not.
func (f *fetch) whole(r Result) error {
	switch {
	case r.Exact && r.N < r.Total:
		return &Error{Op: "read", URL: r.FinalURL, Offset: r.N, Err: ErrCut}
	case r.N < f.req.MinSize:
		err := fmt.Errorf("%w: %d bytes, %d required", ErrTooSmall, r.N, f.req.MinSize)
		return &Error{Op: "read", URL: r.FinalURL, Offset: r.N, Err: err}
	}
	return nil
}

// buffers is a pool of buffers of one size. Sizes follow the stream's speed: a
// slow one keeps 32 KiB, one that fills its buffer gets the next larger.
type buffers struct {
	size            int
	smaller, larger *buffers
	pool            sync.Pool
}

const (
	minBuffer = 32 << 10
	// maxBuffer: with half of it, 1 GiB over loopback costs a tenth more CPU;
	// twice of it would save some 4 % and take twice the memory.
	maxBuffer = 2 << 20
)

var smallest = newBuffers()

// newBuffers makes the chain of pools, each four times the one before: a fast
// stream is at the end of it after three reads.
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

func (p *buffers) put(b *[]byte) { p.pool.Put(b) }

// follow returns the pool for the next read after one of n bytes: the larger one
// when the buffer was filled, the smaller one when a sixteenth would have done.
func (p *buffers) follow(n int) *buffers {
	switch {
	case n == p.size && p.larger != nil:
		return p.larger
	case n < p.size/16 && p.smaller != nil:
		return p.smaller
	}
	return p
}
