package digest

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"
)

const (
	// maxQueued is how many chunks a stream holds at most, with the one that is
	// being hashed: enough for both sides to be uneven, and 8 MiB with the largest
	// chunks that are in use.
	maxQueued = 4
	// readSize is how much is read from the file at a time. The hash takes half a
	// millisecond for it, beside which the call costs nothing.
	readSize = 1 << 20
)

var (
	errClosed = errors.New("the digest's stream is closed")
	errReset  = errors.New("the file began anew while its digest was waited for")
)

// Stream computes the digests of a file while the file is written. What is handed
// over in the file's order is hashed from memory; everything else is read from
// the file, once, when its turn comes, beside whoever writes it.
//
// A Stream has one goroutine, which starts with the first bytes that can be
// hashed and ends with Close. Its memory is a few chunks and, once something is
// read, 1 MiB. All methods are safe for concurrent use, but who calls Reset sees
// to it that nobody still hands over chunks of the old file.
type Stream struct {
	src        io.ReaderAt
	algorithms []Algorithm

	mu      sync.Mutex    // guards all below
	work    sync.Cond     // on mu: there is a piece in the plan, or it is over
	changed chan struct{} // closed when something else has changed; nil if nobody waits for that
	plan    []piece       // what will be hashed next, in order and without gaps
	planned int64         // where the plan ends
	ahead   spans         // what can be read behind gaps, all of it behind planned
	queued  int           // chunks that are held, in the plan or being hashed
	hashed  int64         // up to where the hashes are
	hashes  []hash.Hash   // the goroutine's while busy
	busy    bool          // the goroutine is at a piece
	err     error         // why no more is hashed
	epoch   int           // how often the file began anew
	closed  bool
	ended   chan struct{} // closed when the goroutine ended; nil before it started
}

// piece is a part of the file: a chunk, or what is to be read.
type piece struct {
	span
	chunk   []byte
	release func() // nil without a chunk
}

// NewStream returns a stream that computes digests by the algorithms, which must
// be such that exist. It reads from src what it does not get in order, while the
// file may be written to elsewhere: src must allow that. A file of the operating
// system does.
func NewStream(src io.ReaderAt, algorithms ...Algorithm) *Stream {
	s := &Stream{src: src, algorithms: algorithms, hashes: make([]hash.Hash, len(algorithms))}
	s.work.L = &s.mu
	for i, a := range algorithms {
		s.hashes[i] = a.New()
	}
	return s
}

// Take hands over a chunk that has been written to the file at off. It belongs to
// the stream until release is called, which happens once, from any goroutine and
// perhaps before Take returns; release must not call the stream.
//
// A chunk in order is kept until it is hashed. Take blocks while the hash is
// behind by a few of them, but not after ctx ended and not while the hash is
// behind for having to read from the file: then the chunk is read later as well.
//
// Bytes that were there before are taken to be the same. Who writes others in
// their place calls Reset.
func (s *Stream) Take(ctx context.Context, chunk []byte, off int64, release func()) {
	if !s.take(ctx, piece{span{off, off + int64(len(chunk))}, chunk, release}) {
		release()
	}
}

// take reports whether the chunk is kept.
func (s *Stream) take(ctx context.Context, p piece) (kept bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ended error
	for epoch := s.epoch; ; ended = s.wait(ctx) {
		switch {
		case s.epoch != epoch || s.closed || s.err != nil || p.to <= s.planned:
			return false
		case p.from > s.planned:
			s.ahead.add(p.span)
			return false
		case s.queued < maxQueued:
			p.chunk, p.from = p.chunk[s.planned-p.from:], s.planned
			s.queued++
			s.plan = append(s.plan, p)
			s.extend(p.to)
			return true
		case ended != nil || slices.ContainsFunc(s.plan, piece.isRead):
			s.read(p.to)
			s.extend(p.to)
			return false
		}
	}
}

func (p piece) isRead() bool { return p.chunk == nil }

// Has says that the file has the bytes from..to, which nobody will hand over: the
// part that a resumed download goes on from.
func (s *Stream) Has(from, to int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.has(span{from, to})
}

func (s *Stream) has(n span) {
	if s.closed || s.err != nil {
		return
	}
	s.ahead.add(n)
	s.extend(s.planned)
}

// read plans to read from the end of the plan up to a position.
func (s *Stream) read(to int64) {
	if n := len(s.plan); n > 0 && s.plan[n-1].isRead() {
		s.plan[n-1].to = to
	} else {
		s.plan = append(s.plan, piece{span: span{s.planned, to}})
	}
}

// extend notes where the plan ends now, joins what can be read from there, and
// sees that the goroutine is at work.
func (s *Stream) extend(to int64) {
	s.planned = to
	if end, ok := s.ahead.cut(to); ok {
		s.read(end)
		s.planned = end
	}
	switch {
	case len(s.plan) == 0:
	case s.ended == nil:
		s.ended = make(chan struct{})
		go s.run()
	default:
		s.work.Signal()
	}
}

// Reset says that the file begins anew: nothing of what was there is known any
// more, and a failure is forgotten. It returns when nothing of the old file is
// held or being read; what waits in Sum then fails.
func (s *Stream) Reset() {
	s.mu.Lock()
	s.epoch++
	s.change()
	dropped := s.drop()
	for s.busy {
		_ = s.wait(context.Background()) // for one piece
		dropped = append(dropped, s.drop()...)
	}
	s.planned, s.hashed, s.ahead, s.err = 0, 0, nil, nil
	for _, h := range s.hashes {
		h.Reset()
	}
	s.mu.Unlock()
	releaseAll(dropped)
}

// Sum waits until the first size bytes are hashed, which are the whole file and
// there by now, and returns their digests in the order of the algorithms. What
// nobody has mentioned is read. It fails if there is more than that, if the file
// cannot be read, or with the error of ctx. It ends nothing: a file may grow
// after it, and Sum be called again.
func (s *Stream) Sum(ctx context.Context, size int64) ([]Digest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extent() <= size {
		s.has(span{0, size})
	}
	for epoch := s.epoch; ; {
		switch {
		case s.closed:
			return nil, errClosed
		case s.epoch != epoch:
			return nil, errReset
		case s.err != nil:
			return nil, s.err
		case s.extent() > size:
			return nil, fmt.Errorf("digest of a file of %d bytes: it has at least %d", size, s.extent())
		case s.hashed == size:
			return s.digests(), nil
		}
		if err := s.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// extent is the size of the file as far as it is known.
func (s *Stream) extent() int64 { return max(s.planned, s.ahead.end()) }

func (s *Stream) digests() []Digest {
	digests := make([]Digest, len(s.hashes))
	for i, h := range s.hashes {
		digests[i] = of(s.algorithms[i], h.Sum(nil))
	}
	return digests
}

// Close ends the goroutine and waits for it. All chunks are released when it
// returns, and what waits in Take or Sum returns. It may be called again; whatever
// else is called then does nothing but release.
func (s *Stream) Close() {
	s.mu.Lock()
	s.closed = true
	dropped, ended := s.drop(), s.ended
	s.work.Signal()
	s.change()
	s.mu.Unlock()
	releaseAll(dropped)
	if ended != nil {
		<-ended
	}
}

// drop empties the plan. Its chunks are for the caller to release.
func (s *Stream) drop() []piece {
	dropped := s.plan
	s.plan = nil
	for _, p := range dropped {
		if !p.isRead() {
			s.queued--
		}
	}
	return dropped
}

func releaseAll(pieces []piece) {
	for _, p := range pieces {
		if !p.isRead() {
			p.release()
		}
	}
}

// wait waits for a change, without the lock meanwhile.
func (s *Stream) wait(ctx context.Context) error {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	changed := s.changed
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// change wakes all who wait.
func (s *Stream) change() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}
