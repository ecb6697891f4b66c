package digest

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fill hands over chunks of 10 bytes until no more can be held. The goroutine is
// held at the first one until the returned function is called.
func fill(t *testing.T, s *Stream, f *file, l *loans) (goOn func()) {
	hold := make(chan struct{})
	for i := range maxQueued {
		chunk := f.write(10*i, 10*i+10)
		release := l.lend(chunk)
		s.Take(t.Context(), chunk, int64(10*i), func() { <-hold; release() })
	}
	return func() { close(hold) }
}

func TestTakeWaitsForTheHash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, l := newFile(0, 1000), loans{t: t}
		s := NewStream(f, SHA256)
		goOn := fill(t, s, f, &l)
		var taken atomic.Int64
		go func() {
			for at := 10 * maxQueued; at < 1000; at += 10 {
				chunk := f.write(at, at+10)
				s.Take(t.Context(), chunk, int64(at), l.lend(chunk))
				taken.Add(1)
			}
		}()
		synctest.Wait()
		assert.Zero(t, taken.Load())
		goOn()
		synctest.Wait()
		got, err := s.Sum(t.Context(), 1000)
		require.NoError(t, err)
		assert.Equal(t, f.want(1000, SHA256), got)
		assert.Zero(t, f.reading, "waiting lost nothing")
		s.Close()
		assert.Zero(t, l.out.Load())
	})
}

func TestTakeStopsWaitingWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, l := newFile(0, 1000), loans{t: t}
		s := NewStream(f, SHA256)
		goOn := fill(t, s, f, &l)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			chunk := f.write(40, 50)
			s.Take(ctx, chunk, 40, l.lend(chunk))
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		assert.EqualValues(t, maxQueued, l.out.Load())
		goOn()
		got, err := s.Sum(t.Context(), 50)
		require.NoError(t, err)
		assert.Equal(t, f.want(50, SHA256), got)
		least, _ := f.timesRead(40, 50)
		_, most := f.timesRead(0, 40)
		assert.EqualValues(t, 1, least, "it was in the file all the same")
		assert.Zero(t, most)
		s.Close()
	})
}

func TestTakeDoesNotWaitForTheDisk(t *testing.T) {
	const prefix, size, chunk = 2*readSize + 1, 4 * readSize, 32 << 10
	f, l := newFile(0, size), loans{t: t}
	f.gate = make(chan struct{})
	s := NewStream(f, SHA256)
	f.write(0, prefix)
	s.Has(0, prefix)
	c := f.write(prefix, prefix+chunk)
	s.Take(t.Context(), c, prefix, l.lend(c))
	for at := prefix + chunk; at < size; at += chunk {
		c := f.write(at, min(at+chunk, size))
		s.Take(t.Context(), c, int64(at), l.lend(c))
	}
	assert.EqualValues(t, maxQueued, l.out.Load(), "what is in order is kept as long as there is room")
	close(f.gate)
	got, err := s.Sum(t.Context(), size)
	require.NoError(t, err)
	assert.Equal(t, f.want(size, SHA256), got)
	_, most := f.timesRead(prefix, prefix+maxQueued*chunk)
	assert.Zero(t, most)
	_, most = f.timesRead(0, size)
	assert.EqualValues(t, 1, most)
	s.Close()
}

func TestCloseEndsWhoeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, l := newFile(0, 1000), loans{t: t}
		s := NewStream(f, SHA256)
		goOn := fill(t, s, f, &l)
		var wg sync.WaitGroup
		wg.Go(func() {
			chunk := f.write(40, 50)
			s.Take(t.Context(), chunk, 40, l.lend(chunk))
		})
		wg.Go(func() {
			_, err := s.Sum(t.Context(), 1000)
			assert.ErrorIs(t, err, errClosed)
		})
		synctest.Wait()
		wg.Go(s.Close)
		synctest.Wait()
		goOn() // it waits for its goroutine
		s.Close()
		wg.Wait()
		assert.Zero(t, l.out.Load())

		chunk := f.write(0, 10)
		s.Take(t.Context(), chunk, 0, l.lend(chunk))
		assert.Zero(t, l.out.Load())
		s.Has(0, 1000)
		s.Reset()
		_, err := s.Sum(t.Context(), 0)
		require.ErrorIs(t, err, errClosed)
		s.Close()
		assert.Zero(t, f.reading)
	})
}

func TestCloseMidway(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		size := 1 + rnd.IntN(1<<20)
		f, l := newFile(seed, size), loans{t: t}
		s := NewStream(f, SHA256, MD5)
		parts := split(rnd, 0, size, 50<<10)
		if rnd.IntN(2) == 0 {
			f.write(0, parts[0][1])
			s.Has(0, int64(parts[0][1]))
		}
		var wg sync.WaitGroup
		midway := make(chan struct{})
		wg.Go(func() {
			at := rnd.IntN(len(parts))
			for i, part := range parts {
				if i == at {
					close(midway)
				}
				chunk := f.write(part[0], part[1])
				s.Take(t.Context(), chunk, int64(part[0]), l.lend(chunk))
			}
		})
		<-midway
		s.Close()
		wg.Wait()
		assert.Zero(t, l.out.Load())
	}
}

func TestSumStopsWaitingWithItsContext(t *testing.T) {
	f := newFile(0, 1000)
	f.gate = make(chan struct{})
	f.write(0, 1000)
	s := NewStream(f, SHA256)
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Sum(ctx, 1000)
	require.ErrorIs(t, err, context.Canceled)
	close(f.gate)
	got, err := s.Sum(t.Context(), 1000)
	require.NoError(t, err)
	assert.Equal(t, f.want(1000, SHA256), got)
	got, err = s.Sum(ctx, 1000)
	require.NoError(t, err, "there is nothing to wait for")
	assert.Equal(t, f.want(1000, SHA256), got)
}

func TestReset(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		size := 1 + rnd.IntN(1<<20)
		f, l := newFile(seed, size), loans{t: t}
		s := NewStream(f, SHA256)
		for round := range 4 {
			if rnd.IntN(2) == 0 {
				n := rnd.IntN(size)
				f.write(0, n)
				s.Has(0, int64(n))
			}
			parts := split(rnd, 0, size, 50<<10)
			if round < 3 {
				parts = parts[:rnd.IntN(len(parts))]
			}
			for _, part := range parts {
				chunk := f.write(part[0], part[1])
				s.Take(t.Context(), chunk, int64(part[0]), l.lend(chunk))
			}
			if round < 3 {
				s.Reset()
				assert.Zero(t, l.out.Load())
				content := newFile(seed+1000, size).content
				copy(f.content, content) // nobody reads it: a race would be found
			}
		}
		got, err := s.Sum(t.Context(), int64(size))
		require.NoError(t, err)
		assert.Equal(t, f.want(size, SHA256), got)
		s.Close()
		assert.Zero(t, l.out.Load())
	}
}

func TestResetEndsWhoeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, l := newFile(0, 1000), loans{t: t}
		s := NewStream(f, SHA256)
		goOn := fill(t, s, f, &l)
		var wg sync.WaitGroup
		wg.Go(func() {
			chunk := f.write(40, 50)
			s.Take(t.Context(), chunk, 40, l.lend(chunk))
		})
		wg.Go(func() {
			_, err := s.Sum(t.Context(), 1000)
			assert.ErrorIs(t, err, errReset)
		})
		synctest.Wait()
		wg.Go(s.Reset)
		synctest.Wait()
		late := f.write(40, 50)
		s.Take(t.Context(), late, 40, l.lend(late)) // of the old file still
		goOn()
		wg.Wait()
		assert.Zero(t, l.out.Load())
		f.write(0, 1000)
		got, err := s.Sum(t.Context(), 1000)
		require.NoError(t, err)
		assert.Equal(t, f.want(1000, SHA256), got)
		s.Close()
	})
}

func TestAFileThatCannotBeRead(t *testing.T) {
	const size = 3 * readSize
	f, l := newFile(0, size), loans{t: t}
	f.gate, f.broken = make(chan struct{}), 2*readSize
	s := NewStream(f, SHA256)
	defer s.Close()
	f.write(0, size)
	s.Has(0, size-100)
	chunk := f.write(size-100, size)
	s.Take(t.Context(), chunk, size-100, l.lend(chunk)) // is held behind what cannot be read
	close(f.gate)
	_, err := s.Sum(t.Context(), size)
	require.ErrorIs(t, err, errDisk)
	require.ErrorContains(t, err, "read back for the digest at byte 2097152")
	assert.Zero(t, l.out.Load())
	chunk = f.write(0, 100)
	s.Take(t.Context(), chunk, size, l.lend(chunk))
	s.Has(size, size+1)
	assert.Zero(t, l.out.Load())
	_, err = s.Sum(t.Context(), size)
	require.ErrorIs(t, err, errDisk, "it stays so")

	f.broken = 0
	s.Reset()
	got, err := s.Sum(t.Context(), size)
	require.NoError(t, err)
	assert.Equal(t, f.want(size, SHA256), got)
}

func TestAFileThatIsTooShort(t *testing.T) {
	f := newFile(0, 1000)
	f.write(0, 1000)
	s := NewStream(f, SHA256)
	defer s.Close()
	_, err := s.Sum(t.Context(), 1001)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "the file ends at byte 1000, before byte 1001")
}
