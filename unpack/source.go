package unpack

import (
	"context"
	"errors"
	"io"
	"sync"
)

// source is the archive as it is read: it ends with its context, and knows how far
// it was read and whether reading, rather than understanding, failed. Decoders read
// it from goroutines of their own.
type source struct {
	ctx     context.Context
	archive io.ReaderAt
	size    int64

	mu     sync.Mutex // guards all below
	offset int64      // of the byte after the last one read
	next   int64      // what Read reads
	err    error      // the first of reading
}

var errNegative = errors.New("an offset is negative")

// ReadAt is io.ReaderAt's.
func (s *source) ReadAt(b []byte, at int64) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	if at < 0 { // zip's 64 bits have no sign
		return 0, errNegative
	}
	n, err := 0, io.EOF
	if at < s.size {
		n, err = s.archive.ReadAt(b[:min(int64(len(b)), s.size-at)], at)
	}
	if n < len(b) && err == nil {
		err = io.EOF
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset = max(s.offset, at+int64(n))
	if s.err == nil && err != nil && !isEOF(err) {
		s.err = err
	}
	return n, err
}

// Read reads the archive from its beginning to its end.
func (s *source) Read(b []byte) (int, error) {
	s.mu.Lock()
	at := s.next
	s.mu.Unlock()
	n, err := s.ReadAt(b, at)
	if n > 0 && isEOF(err) {
		err = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = at + int64(n)
	return n, err
}

// head returns the beginning of the archive.
func (s *source) head() ([]byte, error) {
	head := make([]byte, headBytes)
	n, err := s.ReadAt(head, 0)
	if isEOF(err) {
		err = nil
	}
	return head[:n], err
}

// failure returns what reading failed with, if it did, and how far it got.
func (s *source) failure() (offset int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && s.ctx.Err() != nil {
		return s.offset, context.Cause(s.ctx)
	}
	return s.offset, s.err
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
