package transfer

import (
	"bytes"
	"context"
	"hash/crc32"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// slate is a sink that several lines may write to at once.
type slate struct {
	data []byte
	n    int64
}

func (s *slate) Start(Head, Source, int64) error { return nil }
func (s *slate) WriteAt(b []byte, off int64) (int, error) {
	return copy(s.data[off:], b), nil
}
func (s *slate) Stored(r *Result, n int) error { s.n = r.N; return nil }

// Whatever lines come and go, take, split and drop: what is said to be stored is
// stored, once, with the right CRC, and nothing is left out.
func FuzzBoard(f *testing.F) {
	f.Add(uint64(1), uint16(1000))
	f.Add(uint64(2), uint16(1))
	f.Fuzz(func(t *testing.T, seed uint64, length uint16) {
		random := rand.New(rand.NewPCG(seed, 0))
		want := make([]byte, int(length)*1024)
		for i := range want {
			want[i] = byte(random.Uint32())
		}
		s := &slate{data: make([]byte, len(want))}
		have := Result{Head: Head{Total: int64(len(want)), Exact: true}}
		b := newBoard(have, s, nil, func(error) {})
		var lines []*line
		for steps := 0; b.remaining() > 0; steps++ {
			require.Less(t, steps, 1_000_000)
			switch random.IntN(10) {
			case 0:
				l := &line{fetch: &fetch{}, board: b, speed: float64(random.IntN(3)) * 1e6}
				if l.part = b.take(l); l.part != nil {
					l.part.since = time.Now().Add(-time.Duration(random.IntN(1000)) * time.Second)
					lines = append(lines, l)
				}
			case 1: // a line fails, and its process goes on with what is stored
				if len(lines) > 0 {
					i := random.IntN(len(lines))
					b.drop(lines[i].part)
					lines = append(lines[:i], lines[i+1:]...)
				}
				if random.IntN(10) == 0 {
					result := b.snapshot()
					requireStored(t, want, result)
					b, lines = newBoard(result, s, nil, func(error) {}), nil
				}
			default:
				if len(lines) == 0 {
					continue
				}
				i := random.IntN(len(lines))
				l := lines[i]
				at := l.part.at
				n := min(int64(1+random.IntN(64<<10)), int64(len(want))-at)
				_, done, err := b.store(l.part, want[at:at+n])
				require.NoError(t, err)
				if done {
					l.pass()
					if l.part == nil {
						lines = append(lines[:i], lines[i+1:]...)
					}
				}
			}
		}
		for _, l := range lines {
			b.drop(l.part)
		}
		result := b.snapshot()
		require.True(t, bytes.Equal(want, s.data))
		require.Nil(t, result.Ranges)
		require.EqualValues(t, len(want), result.N)
		require.Equal(t, crc32.Checksum(want, castagnoli), result.CRC32C)
		if len(want) > 0 {
			require.EqualValues(t, len(want), s.n)
		}
	})
}

func requireStored(t *testing.T, want []byte, r Result) {
	t.Helper()
	var sum, end int64
	for _, s := range r.Stored() {
		require.GreaterOrEqual(t, s.From, end)
		require.Equal(t, crc32.Checksum(want[s.From:s.To], castagnoli), s.CRC32C)
		sum, end = sum+s.To-s.From, s.To
	}
	require.Equal(t, sum, r.N)
}

// sharing is a sink in which another line asks for a part while something is stored.
type sharing struct {
	slate
	during func(end int64)
}

func (s *sharing) WriteAt(b []byte, off int64) (int, error) {
	s.during(off + int64(len(b)))
	return len(b), nil
}

func TestWhatIsBeingStoredIsNotGivenAway(t *testing.T) {
	s := &sharing{}
	b := newBoard(Result{Head: Head{Total: 4 << 20, Exact: true}}, s, nil, func(error) {})
	one, other := &line{fetch: &fetch{}, board: b}, &line{fetch: &fetch{}, board: b}
	one.part = b.take(one)
	one.part.since = time.Now().Add(-time.Minute)
	s.during = func(end int64) {
		other.part = b.take(other)
		require.NotNil(t, other.part)
		require.GreaterOrEqual(t, other.part.from, end)
	}
	n, _, err := b.store(one.part, make([]byte, 3<<20)) // more than half
	require.NoError(t, err)
	require.EqualValues(t, 3<<20, n)
	require.EqualValues(t, 4<<20-other.part.from, other.part.left())
}

func TestAPartIsSharedByHowFastItsLinesAre(t *testing.T) {
	now := time.Now()
	b := newBoard(Result{Head: Head{Total: 100 << 20, Exact: true}}, &slate{}, nil, func(error) {})
	slow := &line{fetch: &fetch{}, board: b}
	slow.part = b.take(slow)
	slow.part.since, slow.part.at = now.Add(-time.Second), 10<<20 // 10 MiB/s, 90 MiB left
	fast := &line{fetch: &fetch{}, board: b, speed: 20 << 20}
	fast.part = b.take(fast)
	require.InDelta(t, 40<<20, fast.part.from, 1<<20)
	require.EqualValues(t, 100<<20, fast.part.end)
	require.Equal(t, fast.part.from, slow.part.end)

	b.latency = time.Hour
	require.Nil(t, b.take(&line{fetch: &fetch{}, board: b}), "connecting would take longer than waiting")
}

// Many connections beside each other must not be slower by what they share.
func BenchmarkBoardStore(b *testing.B) {
	board := newBoard(Result{Head: Head{Total: 1 << 50, Exact: true}}, discarding{}, nil, func(error) {})
	l := &line{fetch: &fetch{watch: newWatch(context.Background(), 0)}, board: board}
	l.part = board.take(l)
	chunk := make([]byte, 32<<10)
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		_, _, _ = board.store(l.part, chunk)
	}
}

// meddler is a sink that lets something happen during its next write.
type meddler struct {
	slate
	during func()
}

func (m *meddler) WriteAt(b []byte, off int64) (int, error) {
	if during := m.during; during != nil {
		m.during = nil
		during()
	}
	return m.slate.WriteAt(b, off)
}

func TestAPartThatGrowsWhileItsEndIsStoredLosesNothing(t *testing.T) {
	want := content(t, 100)
	s := &meddler{slate: slate{data: make([]byte, 100)}}
	b := newBoard(Result{Head: Head{Total: 100, Exact: true}}, s, nil, func(error) {})
	one := &line{fetch: &fetch{}, board: b}
	one.have = Result{Head: Head{Total: 100, Exact: true}}
	one.part = b.take(one)
	other := &line{fetch: &fetch{}, board: b}
	other.part = b.split(one.part, 0, time.Now()).give(other, time.Now())
	s.during = func() { b.drop(other.part) } // gives [50, 100) back to the first line
	given := false
	chunk := append([]byte(nil), want[:60]...)
	done, err := one.keep(firstBuffers, &chunk, 60, &given)
	require.NoError(t, err)
	require.False(t, done)
	require.EqualValues(t, 60, one.part.at)
	require.Equal(t, want[:60], s.data[:60])
}
