package digest

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// run is the goroutine: it hashes piece after piece.
func (s *Stream) run() {
	defer close(s.ended)
	var buf []byte // made when something has to be read, which is seldom
	for {
		p, ok := s.next()
		if !ok {
			return
		}
		chunk, err := p.chunk, error(nil)
		if p.isRead() {
			if buf == nil {
				buf = make([]byte, readSize)
			}
			chunk = buf[:p.to-p.from]
			err = s.readAt(chunk, p.from)
		}
		if err != nil {
			s.fail(err)
		} else {
			for _, h := range s.hashes {
				_, _ = h.Write(chunk) // which never fails
			}
		}
		if !p.isRead() {
			p.release()
		}
		s.done(p)
	}
}

// next waits for the next piece, of which it takes as much as is read at a time;
// not ok when the stream is closed.
func (s *Stream) next() (p piece, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.plan) == 0 && !s.closed {
		s.work.Wait()
	}
	if s.closed {
		return piece{}, false
	}
	s.busy = true
	first := &s.plan[0]
	p = *first
	if p.isRead() && p.to-p.from > readSize {
		p.to = p.from + readSize
		first.from = p.to
		return p, true
	}
	s.plan = slices.Delete(s.plan, 0, 1) // of some nine at most
	return p, true
}

// fail gives up what is planned: nothing can be hashed behind a gap.
func (s *Stream) fail(err error) {
	s.mu.Lock()
	s.err = err
	dropped := s.drop()
	s.mu.Unlock()
	releaseAll(dropped)
}

// done notes that the goroutine is through with a piece.
func (s *Stream) done(p piece) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	s.hashed = p.to
	if !p.isRead() {
		s.queued--
	}
	s.change()
}

// readAt fills b from the file.
func (s *Stream) readAt(b []byte, off int64) error {
	n, err := s.src.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("read back for the digest: the file ends at byte %d, before byte %d: %w", off+int64(n), off+int64(len(b)), io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("read back for the digest at byte %d: %w", off, err)
}
