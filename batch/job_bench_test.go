package batch

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

// million is how many links the benchmarks have.
const million = 1_000_000

func benchURL(i int) string {
	return fmt.Sprintf("https://downloads.example.com/releases/v%d/artifacts/linux-amd64/tool-%d.tar.gz", i%97, i)
}

func millionLinks(b *testing.B) (path string) {
	path = filepath.Join(b.TempDir(), "list")
	f, err := os.Create(path)
	require.NoError(b, err)
	w := bufio.NewWriter(f)
	for i := range million {
		_, _ = w.WriteString(benchURL(i) + "\n")
	}
	require.NoError(b, w.Flush())
	require.NoError(b, f.Close())
	return path
}

// reportHeap reports what is live and what the heap had to be for it, in MiB.
func reportHeap(b *testing.B, keep any) {
	var peak, live runtime.MemStats
	runtime.ReadMemStats(&peak)
	runtime.GC()
	runtime.ReadMemStats(&live)
	b.ReportMetric(float64(live.HeapAlloc)/(1<<20), "MiB-live")
	b.ReportMetric(float64(peak.HeapSys-peak.HeapReleased)/(1<<20), "MiB-heap")
	runtime.KeepAlive(keep)
}

func BenchmarkAddAMillionFromAList(b *testing.B) {
	path := millionLinks(b)
	for b.Loop() {
		b.StopTimer()
		j, list := newJob(b), listAt(b, path, "")
		debug.FreeOSMemory()
		b.StartTimer()
		_, err := j.AddList(b.Context(), list)
		require.NoError(b, err)
		b.StopTimer()
		reportHeap(b, j)
		require.NoError(b, j.Close())
		b.StartTimer()
	}
	b.ReportMetric(float64(million*b.N)/b.Elapsed().Seconds(), "links/s")
}

func BenchmarkAddAMillionOneByOne(b *testing.B) {
	for b.Loop() {
		j := newJob(b)
		for i := range million {
			if _, err := j.Add(Link{URL: benchURL(i)}); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		reportHeap(b, j)
		require.NoError(b, j.Close())
		b.StartTimer()
	}
	b.ReportMetric(float64(million*b.N)/b.Elapsed().Seconds(), "links/s")
}

func BenchmarkResumeAMillion(b *testing.B) {
	for name, byList := range map[string]bool{"list": true, "added": false} {
		b.Run(name, func(b *testing.B) {
			j := newJob(b)
			path := ""
			if byList {
				path = millionLinks(b)
				_, err := j.AddList(b.Context(), listAt(b, path, ""))
				require.NoError(b, err)
			}
			for i := 0; !byList && i < million; i++ {
				_, err := j.Add(Link{URL: benchURL(i)})
				require.NoError(b, err)
			}
			for i := range uint64(million / 2) { // half of it is done
				require.NoError(b, j.record(kindDone, appendUvarints(nil, i, 4096, 80)))
			}
			require.NoError(b, j.Close())
			fi, err := os.Stat(filepath.Join(j.dir, logName))
			require.NoError(b, err)
			dir := j.dir
			*j = Job{} // what it had is garbage now
			for b.Loop() {
				b.StopTimer()
				debug.FreeOSMemory()
				b.StartTimer()
				again, err := OpenJob(dir)
				require.NoError(b, err)
				if byList {
					_, err = again.AddList(b.Context(), listAt(b, path, ""))
					require.NoError(b, err)
				}
				b.StopTimer()
				reportHeap(b, again)
				require.NoError(b, again.Close())
				b.StartTimer()
			}
			b.ReportMetric(float64(fi.Size())/(1<<20), "MiB-log")
		})
	}
}
