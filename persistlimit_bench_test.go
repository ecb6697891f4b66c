package dlmanager

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// benchShelf is a shelf that costs nothing.
type benchShelf struct{ removed int }

func (s *benchShelf) stat(string) (int64, time.Time, error) { return 10, time.Time{}, nil }
func (s *benchShelf) remove(string) error                   { s.removed++; return nil }
func (s *benchShelf) path(name string) string               { return name }
func (s *benchShelf) evicted(Removed)                       {}
func (s *benchShelf) exceeded(LimitUsage)                   {}

var benchSizes = []int{1_000, 10_000, 100_000}

// benchNames are like those that the command derives from URLs.
func benchNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("downloads.example.org/releases/v%d/tool-%08d.tar.gz", i%97, i)
	}
	return names
}

// filledLimit returns a limit that n files of 10 bytes, registered in no order,
// fill exactly, and how much memory it takes for each, without their names.
func filledLimit(names []string) (p *PersistLimit, s *benchShelf, perFile float64) {
	s = &benchShelf{}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p = NewPersistLimit(int64(len(names)*10), 5)
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(len(names)) {
		p.add(s, names[i], 10, minute(i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	return p, s, float64(after.HeapAlloc-before.HeapAlloc) / float64(len(names))
}

// forSizes runs fn with the names of as many files as fill the limit, and as
// many more that come after them.
func forSizes(b *testing.B, fn func(b *testing.B, names, all []string)) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("files=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			all := benchNames(2 * n)
			fn(b, all[:n:n], all)
		})
	}
}

// nextName returns the name of the file that comes after as many others; the
// one that had the name before was evicted long ago.
func nextName(all []string, i int) string { return all[(len(all)/2+i)%len(all)] }

// BenchmarkEvictOne adds one file to a full limit, which evicts another.
func BenchmarkEvictOne(b *testing.B) {
	forSizes(b, func(b *testing.B, names, all []string) {
		p, s, perFile := filledLimit(names)
		i := 0
		for b.Loop() {
			p.add(s, nextName(all, i), 10, minute(len(names)+i))
			if err := p.makeRoom(context.Background(), 0); err != nil {
				b.Fatal(err)
			}
			i++
		}
		require.Equal(b, i, s.removed)
		b.ReportMetric(perFile, "B/file")
	})
}

// BenchmarkEvictHalf evicts half of the files in one pass, and counts for each.
func BenchmarkEvictHalf(b *testing.B) {
	forSizes(b, func(b *testing.B, names, _ []string) {
		for b.Loop() {
			b.StopTimer()
			p, s, _ := filledLimit(names)
			b.StartTimer()
			r, err := p.reserve(context.Background(), s, int64(len(names)*10/2))
			if err != nil {
				b.Fatal(err)
			}
			r.release()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(names)/2), "ns/file")
	})
}

func BenchmarkAdd(b *testing.B) {
	forSizes(b, func(b *testing.B, names, _ []string) {
		order := rand.New(rand.NewPCG(1, 2)).Perm(len(names))
		for b.Loop() {
			p, s := NewPersistLimit(int64(len(names)*10), 5), &benchShelf{}
			for _, i := range order {
				p.add(s, names[i], 10, minute(i))
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(names)), "ns/file")
	})
}

func BenchmarkTouch(b *testing.B) {
	forSizes(b, func(b *testing.B, names, _ []string) {
		p, s, _ := filledLimit(names)
		i := 0
		for b.Loop() {
			p.touch(s, names[i*7919%len(names)], minute(len(names)+i))
			i++
		}
	})
}

// BenchmarkReserveLand is what one download costs when the limit is full: it
// makes room, which evicts one file, and lands.
func BenchmarkReserveLand(b *testing.B) {
	forSizes(b, func(b *testing.B, names, all []string) {
		p, s, _ := filledLimit(names)
		i := 0
		for b.Loop() {
			r, err := p.reserve(context.Background(), s, 10)
			if err != nil {
				b.Fatal(err)
			}
			r.land(nextName(all, i), 10, minute(len(names)+i), -1)
			r.release()
			i++
		}
		require.Equal(b, i, s.removed)
	})
}

// BenchmarkEvictOneOnDisk is BenchmarkEvictOne in a real directory; the files are
// made while the clock stands.
func BenchmarkEvictOneOnDisk(b *testing.B) {
	b.ReportAllocs()
	dir := b.TempDir()
	const n = 1_000
	for i := range n {
		writeUsed(b, filepath.Join(dir, fmt.Sprint(i)), 10, minute(i))
	}
	p := NewPersistLimit(n*10, 5)
	require.NoError(b, p.RegisterDirContent(dir, "*"))
	i := n
	for b.Loop() {
		b.StopTimer()
		path := filepath.Join(dir, fmt.Sprint(i))
		writeUsed(b, path, 10, minute(i))
		require.NoError(b, p.RegisterFile(path))
		b.StartTimer()
		if err := p.makeRoom(context.Background(), 0); err != nil {
			b.Fatal(err)
		}
		i++
	}
	left, err := os.ReadDir(dir)
	require.NoError(b, err)
	require.Len(b, left, n)
}

// BenchmarkRemoveOldFilesOnDisk evicts one of 1,000 files, with the look at all
// of them that RemoveOldFiles has before.
func BenchmarkRemoveOldFilesOnDisk(b *testing.B) {
	b.ReportAllocs()
	dir := b.TempDir()
	const n = 1_000
	for i := range n {
		writeUsed(b, filepath.Join(dir, fmt.Sprint(i)), 10, minute(i))
	}
	p := NewPersistLimit(n*10, 5)
	require.NoError(b, p.RegisterDirContent(dir, "*"))
	i := n
	for b.Loop() {
		b.StopTimer()
		path := filepath.Join(dir, fmt.Sprint(i))
		writeUsed(b, path, 10, minute(i))
		require.NoError(b, p.RegisterFile(path))
		b.StartTimer()
		removed, err := p.RemoveOldFiles()
		if err != nil || len(removed) != 1 {
			b.Fatal(removed, err)
		}
		i++
	}
}
