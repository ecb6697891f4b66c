package digest

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpansAreWhatWasAdded(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var s spans
		var have [64]bool
		at := int64(0)
		for range 30 {
			if rnd.IntN(8) == 0 { // as a stream does: what is reached is taken off
				to, ok := s.cut(at)
				require.Equal(t, have[at] && at < 63, ok && to > at)
				for ; at < 63 && have[at]; at++ {
					have[at] = false
				}
				if ok {
					require.Equal(t, at, to)
				}
				for i := range at {
					have[i] = false
				}
			}
			n := span{at + rnd.Int64N(63-at+1), 0}
			n.to = n.from + rnd.Int64N(63-n.from+1)
			s.add(n)
			for i := n.from; i < n.to; i++ {
				have[i] = true
			}
			requireSpans(t, s, have[:])
		}
	}
}

// requireSpans checks that s are exactly the bytes, and in order with gaps.
func requireSpans(t *testing.T, s spans, have []bool) {
	t.Helper()
	got := make([]bool, len(have))
	last := int64(-1)
	for _, n := range s {
		require.Less(t, last, n.from)
		require.Less(t, n.from, n.to)
		last = n.to
		for i := n.from; i < n.to; i++ {
			got[i] = true
		}
	}
	require.Equal(t, have, got)
	require.Equal(t, max(last, 0), s.end())
}
