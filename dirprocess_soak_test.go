//go:build soak

package dlmanager

import "testing"

func TestManyProcessesUseOneDirectoryForLong(t *testing.T) {
	toolCrowd{processes: 30, rounds: 20}.run(t)
}

func TestManyProcessesUseOneDirectoryWhileOthersFillTheCacheForLong(t *testing.T) {
	toolCrowd{processes: 30, rounds: 20, fillers: 2}.run(t)
}

func TestManyProcessesUseOneDirectoryAndManyAreKilled(t *testing.T) {
	toolCrowd{processes: 30, rounds: 20, kills: 20}.run(t)
}

func TestManyAreKilledWhileOthersFillTheCache(t *testing.T) {
	toolCrowd{processes: 30, rounds: 20, kills: 20, fillers: 2}.run(t)
}
