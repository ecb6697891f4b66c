package transfer

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const k = 1 << 10

// chunk is what one read of a body brings, and after how long. Its size is 0 for
// as much as there is room for.
type chunk struct {
	size int
	wait time.Duration
}

// chunks is a body that comes in chunks; it notes how much room there was.
type chunks struct {
	next []chunk
	room []int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.next) == 0 {
		return 0, io.EOF
	}
	now := c.next[0]
	c.next, c.room = c.next[1:], append(c.room, len(p))
	if now.wait > 0 {
		time.Sleep(now.wait)
	}
	if now.size == 0 {
		return len(p), nil
	}
	return min(now.size, len(p)), nil
}

func repeat(n int, c ...chunk) []chunk {
	var all []chunk
	for range n {
		all = append(all, c...)
	}
	return all
}

func TestBuffersFollowTheStream(t *testing.T) {
	const ms = time.Millisecond
	var (
		fast  = chunk{0, ms / 2}      // at 32 KiB a read: 64 MiB/s
		quick = chunk{0, 10 * ms}     // 3 MiB/s
		slow  = chunk{1 * k, 10 * ms} // 100 KiB/s
		burst = []chunk{{0, time.Second}, {0, 0}, {0, 0}, {4 * k, 0}}
	)
	for name, c := range map[string]struct {
		next []chunk
		room []int
	}{
		"fast":                {repeat(5, fast), []int{32 * k, 128 * k, 512 * k, 2048 * k, 2048 * k}},
		"as fast as can be":   {[]chunk{{0, 0}, {0, ms / 4}, {0, ms / 4}, {0, ms / 4}}, []int{32 * k, 32 * k, 512 * k, 2048 * k}},
		"too short to judge":  {repeat(3, chunk{0, ms / 10}), []int{32 * k, 32 * k, 32 * k}},
		"full, but not fast":  {repeat(4, quick), []int{32 * k, 32 * k, 32 * k, 32 * k}},
		"slow":                {repeat(4, slow), []int{32 * k, 8 * k, 8 * k, 8 * k}},
		"slow, then fast":     {append(repeat(2, slow), repeat(4, fast)...), []int{32 * k, 8 * k, 8 * k, 32 * k, 128 * k, 512 * k}},
		"in bursts":           {repeat(3, burst...), []int{32 * k, 8 * k, 8 * k, 8 * k, 8 * k, 8 * k, 8 * k, 8 * k, 8 * k, 8 * k, 8 * k, 8 * k}},
		"fast in small reads": {repeat(4, chunk{16 * k, ms / 10}), []int{32 * k, 32 * k, 32 * k, 32 * k}},
		"fast, then slow":     {append(repeat(3, fast), repeat(4, slow)...), []int{32 * k, 128 * k, 512 * k, 2048 * k, 512 * k, 128 * k, 32 * k}},
		"fast, then full, but slowly": {
			append(repeat(3, fast), chunk{0, time.Second}, quick), []int{32 * k, 128 * k, 512 * k, 2048 * k, 32 * k},
		},
		"not known any more": {[]chunk{fast, {60 * k, 0}, {60 * k, 0}}, []int{32 * k, 128 * k, 128 * k}},
		"in between":         {[]chunk{fast, {100 * k, 2 * ms}, {60 * k, 2 * ms}, {8 * k, 0}}, []int{32 * k, 128 * k, 128 * k, 128 * k}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from := &chunks{next: c.next}
				receive(t, from, discarding{})
				require.Equal(t, c.room, from.room)
			})
		})
	}
}

// sinkFunc is a sink that a function is.
type sinkFunc func(b []byte, at int64) (int, error)

func (sinkFunc) Start(Head, Source, int64) error           { return nil }
func (sinkFunc) Stored(*Result, int) error                 { return nil }
func (f sinkFunc) WriteAt(b []byte, at int64) (int, error) { return f(b, at) }

// A file system that takes its time for every call would otherwise be the reason
// for many small calls.
func TestASlowSinkDoesNotKeepBuffersSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := &chunks{next: repeat(4, chunk{0, time.Millisecond / 2})}
		receive(t, from, sinkFunc(func(b []byte, _ int64) (int, error) {
			time.Sleep(time.Second)
			return len(b), nil
		}))
		require.Equal(t, []int{32 * k, 128 * k, 512 * k, 2048 * k}, from.room)
	})
}

func TestAChunkCostsNoAllocation(t *testing.T) {
	cost := func(n int) float64 {
		next := repeat(n, chunk{0, 0})
		return testing.AllocsPerRun(5, func() {
			receive(t, &chunks{next: next, room: make([]int, 0, n)}, discarding{})
		})
	}
	// Some slack: a pool may be emptied meanwhile.
	require.Less(t, cost(2000), cost(10)+20)
}
