package dlmanager

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTheLastUsesAreRemembered(t *testing.T) {
	var d limitDir
	const forgotten = 3
	for i := range mostRecent + forgotten {
		d.remember(fmt.Sprint(i), time.Unix(0, int64(i)))
	}
	want := map[string]int64{}
	for i := forgotten; i < mostRecent+forgotten; i++ {
		want[fmt.Sprint(i)] = int64(i)
	}
	have := map[string]int64{}
	for _, use := range d.recent {
		have[use.name] = use.at
	}
	assert.Equal(t, want, have)
}
