package transfer

import (
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// read reads once and notes what came and how long that took.
func (f *fetch) read(body io.Reader, b []byte, speed *pace) (int, error) {
	if f.req.Throttle != nil {
		b = b[:min(len(b), f.req.Throttle.Quantum())]
	}
	f.watch.arm()
	begun := time.Now()
	n, err := body.Read(b)
	if err == nil { // else nothing is read any more
		speed.add(n, time.Since(begun))
	}
	f.watch.disarm()
	if f.req.Throttle != nil && n > 0 { // the last bytes come with io.EOF
		if late := f.req.Throttle.Pay(f.watch, n); late != nil {
			err = late
		}
	}
	return n, err
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
