package fs

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestIndexDoesAsAMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	x, want := newIndex(newSalt()), map[uint64]indexed{}
	for i := range 50_000 {
		// Few hashes, and many at the end of the table, so that it goes round.
		h := rnd.Uint64N(2000) + 1
		if h%2 == 0 {
			h = -h
		}
		if rnd.IntN(3) == 0 {
			x.remove(h)
			delete(want, h)
		} else {
			e := indexed{at: rnd.Int64N(goneAt), size: rnd.Int64N(mostIndexSize), used: time.Unix(int64(i), 0)}
			x.put(h, e)
			want[h] = e
		}
		require.Equal(t, len(want), x.n)
	}
	for h := uint64(1); h <= 2000; h++ {
		for _, h := range []uint64{h, -h} {
			got, ok := x.get(h)
			e, there := want[h]
			require.Equal(t, there, ok)
			require.Equal(t, e, got)
		}
	}
}

func TestIndexForgetsWhatIsNotSeen(t *testing.T) {
	x := newIndex(newSalt())
	for i := range 1000 {
		x.put(x.hashOf(fmt.Sprint(i)), indexed{at: int64(i), size: 7, used: time.Unix(9, 0)})
	}
	for i := 0; i < 1000; i += 3 {
		x.see(x.hashOf(fmt.Sprint(i)))
	}
	x.keepSeen(900)
	for i := range 1000 {
		e, ok := x.get(x.hash(fmt.Append(nil, i)))
		assert.Equal(t, i%3 == 0 || i >= 900, ok, "%d", i)
		if ok {
			assert.Equal(t, indexed{at: int64(i), size: 7, used: time.Unix(9, 0)}, e)
		}
	}
	x.unsee()
	x.keepSeen(1000)
	assert.Zero(t, x.n)
}

func TestIndexOfWhatCannotBeHeld(t *testing.T) {
	x := newIndex(newSalt())
	x.put(1, indexed{at: 1, size: 1 << 60, used: time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)})
	x.put(2, indexed{at: 1, size: -1, used: time.Time{}})
	e, ok := x.get(1)
	require.True(t, ok)
	assert.EqualValues(t, int64(mostIndexSize), e.size)
	e, _ = x.get(2)
	assert.EqualValues(t, 0, e.size)
	assert.EqualValues(t, 0, e.used.Unix())
	x.put(1, indexed{at: 1 << offsetBits})
	_, ok = x.get(1)
	assert.False(t, ok, "an entry that cannot be found again is none")
}
