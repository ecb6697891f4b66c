package digest

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatComesInOrderIsNeverRead(t *testing.T) {
	for seed := range uint64(15) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		size := rnd.IntN(3 << 20)
		f, l := newFile(seed, size), loans{t: t}
		s := NewStream(f, every...)
		for _, part := range split(rnd, 0, size, 200<<10) {
			chunk := f.write(part[0], part[1])
			s.Take(t.Context(), chunk, int64(part[0]), l.lend(chunk))
			assert.LessOrEqual(t, l.out.Load(), int64(maxQueued))
		}
		got, err := s.Sum(t.Context(), int64(size))
		require.NoError(t, err)
		assert.Equal(t, f.want(size, every...), got)
		assert.Zero(t, f.reading)
		assert.Zero(t, l.out.Load(), "when all is hashed, nothing is held")
		s.Close()
	}
}

func TestAResumedPrefixIsReadOnce(t *testing.T) {
	for seed := range uint64(15) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		size := 1 + rnd.IntN(6<<20)
		prefix := 1 + rnd.IntN(size)
		f, l := newFile(seed, size), loans{t: t}
		s := NewStream(f, SHA256)
		f.write(0, prefix)
		s.Has(0, int64(prefix))
		for _, part := range split(rnd, prefix, size, 300<<10) {
			chunk := f.write(part[0], part[1])
			s.Take(t.Context(), chunk, int64(part[0]), l.lend(chunk))
		}
		got, err := s.Sum(t.Context(), int64(size))
		require.NoError(t, err)
		assert.Equal(t, f.want(size, SHA256), got)
		least, most := f.timesRead(0, prefix)
		assert.EqualValues(t, 1, least)
		assert.EqualValues(t, 1, most)
		_, most = f.timesRead(prefix, size)
		assert.LessOrEqual(t, most, uint8(1))
		s.Close()
		assert.Zero(t, l.out.Load())
	}
}

func TestAPrefixThatIsReadLeavesTheRestToMemory(t *testing.T) {
	const prefix, size, chunk = 3 << 20, 6 << 20, 64 << 10
	f, l := newFile(0, size), loans{t: t}
	s := NewStream(f, SHA256)
	defer s.Close()
	f.write(0, prefix)
	s.Has(0, prefix)
	_, err := s.Sum(t.Context(), prefix) // it is through with the prefix
	require.NoError(t, err)
	for at := prefix; at < size; at += chunk {
		c := f.write(at, at+chunk)
		s.Take(t.Context(), c, int64(at), l.lend(c))
	}
	got, err := s.Sum(t.Context(), size)
	require.NoError(t, err)
	assert.Equal(t, f.want(size, SHA256), got)
	_, most := f.timesRead(prefix, size)
	assert.Zero(t, most)
}

func TestAnyOrder(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		size := 1 + rnd.IntN(4<<20)
		f, l := newFile(seed, size), loans{t: t}
		s := NewStream(f, SHA256, SHA1)
		parts := split(rnd, 0, size, 100<<10)
		for range len(parts) / 4 { // some of it twice, and across the others
			from := rnd.IntN(size)
			parts = append(parts, [2]int{from, min(size, from+1+rnd.IntN(200<<10))})
		}
		rnd.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		var wg sync.WaitGroup
		for c := range 4 {
			wg.Go(func() {
				for i := c; i < len(parts); i += 4 {
					from, to := parts[i][0], parts[i][1]
					chunk := f.write(from, to)
					if i%7 == 0 {
						s.Has(int64(from), int64(to))
						continue
					}
					s.Take(t.Context(), chunk, int64(from), l.lend(chunk))
				}
			})
		}
		wg.Wait()
		got, err := s.Sum(t.Context(), int64(size))
		require.NoError(t, err)
		assert.Equal(t, f.want(size, SHA256, SHA1), got)
		_, most := f.timesRead(0, size)
		assert.LessOrEqual(t, most, uint8(1))
		s.Close()
		assert.Zero(t, l.out.Load())
	}
}

func TestParallelConnectionsReadWhatIsAheadOnce(t *testing.T) {
	const size, chunk, connections = 8 << 20, 128 << 10, 4
	f, l := newFile(1, size), loans{t: t}
	s := NewStream(f, SHA512)
	defer s.Close()
	var wg sync.WaitGroup
	for c := range connections {
		wg.Go(func() {
			for at := c * size / connections; at < (c+1)*size/connections; at += chunk {
				b := f.write(at, at+chunk)
				s.Take(t.Context(), b, int64(at), l.lend(b))
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	got, err := s.Sum(t.Context(), size)
	require.NoError(t, err)
	assert.Equal(t, f.want(size, SHA512), got)
	_, most := f.timesRead(0, size)
	assert.LessOrEqual(t, most, uint8(1))
	assert.Zero(t, l.out.Load())
}

func TestSumReadsWhatNobodyMentioned(t *testing.T) {
	f := newFile(2, 1000)
	s := NewStream(f, SHA256)
	defer s.Close()
	chunk := f.write(400, 500)
	s.Take(t.Context(), chunk, 400, func() {})
	f.write(0, 1000)
	for range 2 { // it can be asked again
		got, err := s.Sum(t.Context(), 1000)
		require.NoError(t, err)
		assert.Equal(t, f.want(1000, SHA256), got)
	}
	least, most := f.timesRead(0, 1000)
	assert.EqualValues(t, 1, least)
	assert.EqualValues(t, 1, most)
}

func TestAFileMayGrowAfterSum(t *testing.T) {
	f := newFile(3, 1000)
	s := NewStream(f, SHA256)
	defer s.Close()
	for at := 0; at < 1000; at += 100 {
		s.Take(t.Context(), f.write(at, at+100), int64(at), func() {})
		got, err := s.Sum(t.Context(), int64(at+100))
		require.NoError(t, err)
		assert.Equal(t, f.want(at+100, SHA256), got)
	}
	assert.Zero(t, f.reading)
	for _, size := range []int64{999, 0, -1} {
		_, err := s.Sum(t.Context(), size)
		require.ErrorContains(t, err, "it has at least 1000")
	}
	s.Has(1500, 1501)
	_, err := s.Sum(t.Context(), 1200)
	require.ErrorContains(t, err, "it has at least 1501")
}

func TestAWrongSizeReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFile(3, 1000)
		s := NewStream(f, SHA256)
		defer s.Close()
		s.Take(t.Context(), f.write(0, 100), 0, func() {})
		f.write(900, 1000)
		s.Has(900, 1000)
		_, err := s.Sum(t.Context(), 500)
		require.ErrorContains(t, err, "it has at least 1000")
		synctest.Wait()
		f.write(100, 900)
		got, err := s.Sum(t.Context(), 1000)
		require.NoError(t, err)
		assert.Equal(t, f.want(1000, SHA256), got)
	})
}

func TestAnEmptyFile(t *testing.T) {
	s := NewStream(newFile(0, 0), MD5, SHA512)
	defer s.Close()
	s.Has(0, 0)
	released := 0
	s.Take(t.Context(), nil, 0, func() { released++ })
	s.Take(t.Context(), nil, 5, func() { released++ })
	assert.Equal(t, 2, released)
	got, err := s.Sum(t.Context(), 0)
	require.NoError(t, err)
	assert.Equal(t, []Digest{{MD5, sum(MD5, "")}, {SHA512, sum(SHA512, "")}}, got)
}

// FuzzStream does to a small file what the bytes say, three at a time.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0, 0, 10, 0, 10, 10, 1, 50, 9, 2, 0, 0, 3, 0, 0, 0, 0, 40})
	f.Add([]byte{1, 0, 100, 0, 100, 20, 0, 90, 40, 3, 0, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		const size = 512
		src, l := newFile(4, size), loans{t: t}
		src.write(0, size)
		s := NewStream(src, SHA1)
		extent := 0
		for ; len(ops) >= 3; ops = ops[3:] {
			from := int(ops[1])
			to := from + int(ops[2])
			switch ops[0] % 4 {
			case 0:
				chunk := src.write(from, to)
				s.Take(t.Context(), chunk, int64(from), l.lend(chunk))
			case 1:
				s.Has(int64(from), int64(to))
			case 2:
				s.Reset()
				if l.out.Load() != 0 {
					t.Fatal("something of the old file is held")
				}
				src.reads = make([]uint8, size)
				extent = 0
				continue
			case 3:
				to = extent
				from = to
				got, err := s.Sum(t.Context(), int64(extent))
				if err != nil || got[0] != src.want(extent, SHA1)[0] {
					t.Fatal(got, err)
				}
			}
			if from < to {
				extent = max(extent, to)
			}
			if _, most := src.timesRead(0, size); most > 1 {
				t.Fatal("read twice")
			}
		}
		s.Close()
		if l.out.Load() != 0 {
			t.Fatal("not all was released")
		}
	})
}
