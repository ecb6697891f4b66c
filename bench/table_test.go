package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// samples are runs of so many milliseconds of wall time, half of it CPU; a
// negative one failed.
func samples(ms ...int) []sample {
	var all []sample
	for _, n := range ms {
		s := sample{wall: time.Duration(n) * time.Millisecond, cpu: time.Duration(n) * time.Millisecond / 2, peak: 20 * mib}
		if n < 0 {
			s = sample{err: errors.New("exit status 1: no")}
		}
		all = append(all, s)
	}
	return all
}

func TestMedian(t *testing.T) {
	require.Equal(t, 3.0, median([]float64{9, 1, 3}))
	require.Equal(t, 2.0, median([]float64{9, 1, 3, 1}))
	require.Equal(t, 5*time.Second, median([]time.Duration{5 * time.Second}))
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	// The machine was half as fast in the second round.
	require.Equal(t, []float64{.5, .5}, ratios(samples(100, 200), samples(200, 400), wallOf))
}

func TestARoundInWhichOneFailedHasNoRatio(t *testing.T) {
	require.Equal(t, []float64{.25}, ratios(samples(-1, 100, 100), samples(200, -1, 400), wallOf))
	require.Empty(t, ratios(samples(-1), samples(100), wallOf))
	require.Empty(t, ratios(samples(100), samples(0), wallOf), "a program that took nothing that can be measured")
}

func TestTheTable(t *testing.T) {
	table := table{
		name: "plain", about: "One file.", floor: 12 * mib, load: "0.1 to 1.1", missing: []string{"axel: not installed"},
		rows: []*row{
			{contender{name: "dlm get", shown: "dlm get URL", ours: true}, samples(500, 600, 700)},
			{contender{name: "curl", shown: "curl URL"}, samples(1000, 1000, 1400)},
			{contender{name: "half", shown: "half URL"}, samples(1000, -1, 1000)},
			{contender{name: "never", shown: "never URL"}, samples(-1, -1, -1)},
		},
	}
	require.Equal(t, `## plain

One file.

| contender | wall median | wall best | cpu median | peak memory | ours / it, wall | ours / it, cpu |
|---|---|---|---|---|---|---|
| dlm get | 0.60 s | 0.50 s | 0.30 s | 20 MiB |  |  |
| curl | 1.00 s | 1.00 s | 0.50 s | 20 MiB | 0.50 (best 0.50) | 0.50 (best 0.50) |
| half (**failed** 1 of 3) | 1.00 s | 1.00 s | 0.50 s | 20 MiB | 0.60 (best 0.50) | 0.60 (best 0.50) |
| never (**failed** 3 of 3) | – | – | – | – | – | – |

`+"- dlm get: `dlm get URL`\n- curl: `curl URL`\n- half: `half URL`\n- never: `never URL`"+`
- half failed: exit status 1: no
- never failed: exit status 1: no
- left out: axel: not installed
- load: 0.1 to 1.1
`, table.markdown())
}

func TestWithoutOursThereAreNoRatios(t *testing.T) {
	text := table{rows: []*row{{contender{name: "curl"}, samples(100)}}}.markdown()
	require.Contains(t, text, "| curl | 0.10 s | 0.10 s | 50.0 ms | 20 MiB | – | – |")
}

func TestAMessageStaysOnItsLine(t *testing.T) {
	require.Equal(t, "curl: (56) reset", lastLine([]byte("50 %\r100 %\r\ncurl: (56) reset\n\n")))
	require.Empty(t, lastLine([]byte("\n \n")))
}

func TestDurationsHaveThreeDigits(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"4.1 ms": 4100 * time.Microsecond, "0.10 s": 100 * time.Millisecond, "9.99 s": 9990 * time.Millisecond,
		"13.3 s": 13300 * time.Millisecond,
	} {
		require.Equal(t, want, seconds(d))
	}
}

func TestAPeakBelowOursIsABound(t *testing.T) {
	require.Equal(t, "≤ 12 MiB", memory([]sample{{peak: 11*mib + 1}}, 12*mib))
	require.Equal(t, "20 MiB", memory([]sample{{peak: 3 * mib}, {peak: 20 * mib}}, 12*mib))
	require.False(t, strings.Contains(memory([]sample{{peak: 13 * mib}}, 12*mib), "≤"))
}
