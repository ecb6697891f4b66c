package transfer

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// receive copies the body to the sink, in a loop of our own: io.Copy would hand
// it to the file's ReadFrom, which takes 32 KiB at a time whatever the speed.
func (f *fetch) receive(body io.Reader, result Result, sink Sink) (Result, error) {
	buf := smallest
	b := buf.get()
	defer func() { buf.put(b) }()
	var speed pace
	for {
		n, err := f.read(body, *b, &speed)
		if n > 0 {
			if err := f.store((*b)[:n], &result, sink); err != nil {
				return result, err
			}
		}
		given := f.give(buf, b, n, result.N)
		if given {
			b = nil
		}
		if errors.Is(err, io.EOF) {
			return result, f.whole(result)
		}
		if err != nil {
			return result, f.fail("read", result.N, err)
		}
		if next := buf.follow(n, &speed); given || next != buf {
			buf.put(b)
			buf, b = next, next.get()
		}
	}
}

// give hands the n bytes that were stored last, up to the offset end, to who
// follows them, and the buffer with them. It reports whether there is somebody.
func (f *fetch) give(buf *buffers, b *[]byte, n int, end int64) bool {
	if f.req.Tap == nil || n == 0 {
		return false
	}
	f.req.Tap.Take(f.watch.ctx, (*b)[:n], end-int64(n), func() { buf.put(b) })
	return true
}

// read reads once and notes what came and how long that took.
func (f *fetch) read(body io.Reader, b []byte, speed *pace) (int, error) {
	if f.req.Throttle != nil {
		b = b[:min(len(b), f.req.Throttle.Quantum())]
	}
	f.watch.arm()
	begun := time.Now()
	n, err := body.Read(b)
	speed.add(n, time.Since(begun))
	f.watch.disarm()
	if f.req.Throttle != nil && err == nil {
		err = f.req.Throttle.Pay(f.watch.ctx, n)
	}
	return n, err
}

// store puts one chunk into the sink.
func (f *fetch) store(chunk []byte, result *Result, sink Sink) error {
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
	return sink.Stored(result, len(chunk))
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
		return &Error{Op: "read", URL: r.FinalURL, Offset: r.N, Err: cut{}}
	case r.N < f.req.MinSize:
		err := fmt.Errorf("%w: %d bytes, %d required", ErrTooSmall, r.N, f.req.MinSize)
		return &Error{Op: "read", URL: r.FinalURL, Offset: r.N, Err: err}
	}
	return nil
}
