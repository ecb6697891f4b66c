//go:build soak

package dlmanager

import (
	"testing"
	"time"
)

func TestKilledTwoHundredTimes(t *testing.T) {
	killing{files: 36, size: 8 * mib, rate: 512 << 10, kills: 200, pause: 800 * time.Millisecond, most: 1.3}.run(t)
}
