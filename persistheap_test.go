package dlmanager

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLimitFilesAreSmall(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) == 8 {
		assert.LessOrEqual(t, unsafe.Sizeof(limitFile{}), uintptr(64))
	}
}

func TestNanosOfOddTimes(t *testing.T) {
	assert.Equal(t, int64(0), nanos(time.Time{}))
	assert.Equal(t, int64(math.MaxInt64), nanos(newYear.AddDate(1000, 0, 0)))
	assert.True(t, time.Unix(0, nanos(newYear)).Equal(newYear))
}

// TestRankingAgainstASort compares the heaps with the plain truth.
func TestRankingAgainstASort(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		s := newFakeShelf()
		p := NewPersistLimit(100, 1+rnd.IntN(8))
		names := map[string]func(){}
		for range 400 {
			name := fmt.Sprint(rnd.IntN(60))
			switch used := minute(rnd.IntN(10000)); rnd.IntN(8) {
			case 0:
				p.forget(s, name)
			case 1:
				p.touch(s, name, used)
			case 2:
				if names[name] == nil {
					names[name] = p.hold(s, name)
				}
			case 3:
				if release := names[name]; release != nil {
					release()
					delete(names, name)
				}
			default:
				p.add(s, name, int64(rnd.IntN(120)), used)
			}
		}
		p.check(t)
		var all []*limitFile
		for f := range p.dirs[s].files.all() {
			all = append(all, f)
		}
		slices.SortFunc(all, func(a, b *limitFile) int { return int(b.used - a.used) })
		for i, f := range all[:p.rank.newest.len()] {
			if f.used > all[p.rank.newest.len()-1].used {
				require.True(t, f.newest, "%d of seed %d", i, seed)
			}
		}
	}
}
