package batch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager"
)

// BenchmarkRunOfHits adds a list of links whose files are all there, and runs it: what
// a batch costs beside the transfers.
func BenchmarkRunOfHits(b *testing.B) {
	const links = 10_000
	s := echo(b)
	m := newManager(b, dlmanager.WithMaxConcurrent(16))
	var list strings.Builder
	for i := range links {
		fmt.Fprintf(&list, "%s/f%d\n", s.URL, i)
	}
	path := filepath.Join(b.TempDir(), "list")
	require.NoError(b, os.WriteFile(path, []byte(list.String()), 0o600))
	run := func(j *Job, l *LinkList) Report {
		_, err := j.AddList(b.Context(), l)
		require.NoError(b, err)
		report, err := j.Run(b.Context(), m, Limits{}, func(Outcome[Link]) {})
		require.NoError(b, err)
		return report
	}
	run(newJob(b), listAt(b, path, ""))
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		j, l := newJob(b), listAt(b, path, "")
		b.StartTimer()
		require.Equal(b, links, run(j, l).Cached)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(links*b.N), "ns/link")
}
