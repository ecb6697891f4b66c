//go:build soak && linux

package dlmanager

import "testing"

func TestManyProcessesKeepTheLimitForLong(t *testing.T) {
	crowding{processes: 8, files: 10_000, strict: true}.run(t)
}

func TestTheCountOutlivesManyKills(t *testing.T) {
	crowding{processes: 8, files: 2_000, kills: 200, strict: true}.run(t)
}
