package dlmanager

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFileSetDoesAsAMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var s fileSet
	want := map[string]*limitFile{}
	require.Nil(t, s.get("0"))
	for range 20_000 {
		f := &limitFile{name: fmt.Sprint(rnd.IntN(500))}
		switch old := want[f.name]; {
		case old == nil || rnd.IntN(3) == 0:
			s.put(f)
			want[f.name] = f
		default:
			s.remove(f) // another one of that name: nothing happens
			require.Same(t, old, s.get(f.name))
			s.remove(old)
			delete(want, f.name)
		}
		require.Equal(t, len(want), s.len())
	}
	got := map[string]*limitFile{}
	for f := range s.all() {
		require.Nil(t, got[f.name])
		got[f.name] = f
	}
	require.Equal(t, want, got)
	for name, f := range want {
		require.Same(t, f, s.get(name))
	}
}
