//go:build soak

package batch

import (
	"testing"
	"time"
)

func TestAJobThatIsKilledThirtyTimesGoesOn(t *testing.T) {
	killing{links: 10_000, bad: 100, kills: 30, pause: 180 * time.Millisecond}.run(t)
}
