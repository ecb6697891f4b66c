package dlmanager

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/fs"
)

// millionEnv makes the benchmarks of large caches build one of a million files as
// well: a minute, and 2 GiB of memory where /dev/shm is.
const millionEnv = "DLMANAGER_BENCH_MILLION"

// commandEnv is the path of dlm, for the benchmark of the whole command.
const commandEnv = "DLMANAGER_BENCH_DLM"

func cacheSizes() []int {
	sizes := []int{1_000, 100_000}
	if os.Getenv(millionEnv) != "" {
		sizes = append(sizes, 1_000_000)
	}
	return sizes
}

const benchDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

const benchURL = "https://downloads.example.org/releases/tool.tar.gz"

// benchCache is a directory with files of 10 bytes in 256 folders, and a journal
// that knows them.
type benchCache struct {
	dir   string
	names []string
	used  time.Time
}

func newBenchCache(b *testing.B, n int) *benchCache {
	b.Helper()
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = os.TempDir()
	}
	dir, err := os.MkdirTemp(base, "dlmanager-bench-")
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, os.RemoveAll(dir)) })
	c := &benchCache{dir: dir, names: make([]string, n), used: time.Now().Add(-24 * time.Hour)}
	m, err := NewDownloadManager(dir, WithSizeLimit(int64(n*10)))
	require.NoError(b, err)
	require.NoError(b, m.house.awaitReady(b.Context()))
	for i := range 256 {
		require.NoError(b, os.Mkdir(filepath.Join(dir, fmt.Sprintf("%02x", i)), 0o777))
	}
	for i := range c.names {
		c.names[i] = fmt.Sprintf("%02x/tool-%07d.tar.gz", i%256, i)
		c.make(b, m.dir, c.names[i], c.used.Add(time.Duration(i)*time.Millisecond))
	}
	m.dir.Count(fs.Change{Files: int64(n), Bytes: int64(n * 10)})
	require.NoError(b, m.Close())
	return c
}

// make puts a file into the cache as if it had been fetched.
func (c *benchCache) make(b *testing.B, d *fs.Dir, name string, at time.Time) {
	f, err := os.Create(filepath.Join(c.dir, name))
	if err == nil {
		err = f.Truncate(10) // it takes no memory
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Chtimes(f.Name(), at, at)
	}
	if err == nil {
		err = d.Record(fs.Entry{
			Name: name, URL: benchURL, Size: 10, ModTime: at, Fetched: at,
			ETag: `"0123456789abcdef"`, LastModified: "Tue, 14 Nov 2023 22:13:20 GMT",
			Digests: benchDigest,
		})
	}
	require.NoError(b, err)
}

func (c *benchCache) open(b *testing.B, opts ...Option) *DownloadManager {
	m, err := NewDownloadManager(c.dir, append([]Option{WithSizeLimit(int64(len(c.names)) * 10)}, opts...)...)
	require.NoError(b, err)
	return m
}

// name returns one of the names, another one each time.
func (c *benchCache) name(i int) string { return c.names[i*7919%len(c.names)] }

// BenchmarkCache is what one does with a cache, by the number of files in it.
func BenchmarkCache(b *testing.B) {
	for _, n := range cacheSizes() {
		b.Run("files="+strconv.Itoa(n), func(b *testing.B) {
			c := newBenchCache(b, n)
			b.Run("open-journal", c.benchOpen)
			b.Run("read-journal", c.benchRead)
			b.Run("hit", c.benchHit)
			b.Run("command", c.benchCommand)
			b.Run("touch", c.benchTouch)
			b.Run("lookup", c.benchLookup)
			b.Run("register", c.benchRegister)
			b.Run("record", c.benchRecord)
			b.Run("compact", c.benchCompact)
			require.NoError(b, os.Remove(filepath.Join(c.dir, ".dlm/entries")))
			b.Run("open-without", c.benchOpen)
			b.Run("read-without", c.benchRead)
			b.Run("evict-one", c.benchEvictOne)
			b.Run("evict-tenth", c.benchEvictTenth)
		})
	}
}

// benchOpen is from nothing to the first hit.
func (c *benchCache) benchOpen(b *testing.B) {
	for i := 0; b.Loop(); i++ {
		m := c.open(b)
		if err := m.Download(benchURL, c.name(i)).Wait(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		require.NoError(b, m.Close())
		b.StartTimer()
	}
}

// benchRead is until every file is in the accounts, as it is before the first one
// is evicted, and says how much memory that takes. Meanwhile files are asked for:
// the slowest hit is reported.
func (c *benchCache) benchRead(b *testing.B) {
	var perFile float64
	var slowest time.Duration
	for b.Loop() {
		b.StopTimer()
		before := liveBytes()
		b.StartTimer()
		m := c.open(b)
		done := make(chan error, 1)
		go func() { done <- m.limit.learn(context.Background(), m.shelf) }()
		for i := 0; ; i++ {
			began := time.Now()
			if err := m.Download(benchURL, c.name(i)).Wait(); err != nil {
				b.Fatal(err)
			}
			slowest = max(slowest, time.Since(began))
			time.Sleep(time.Millisecond)
			if len(done) > 0 {
				break
			}
		}
		b.StopTimer()
		require.NoError(b, <-done)
		require.Equal(b, len(c.names), m.limit.Usage().Files)
		perFile = float64(liveBytes()-before) / float64(len(c.names))
		require.NoError(b, m.Close())
		b.StartTimer()
	}
	b.ReportMetric(perFile, "B/file")
	b.ReportMetric(float64(slowest.Microseconds()), "µs/slowest-hit")
}

func liveBytes() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func (c *benchCache) benchHit(b *testing.B) {
	m := c.open(b)
	hit := func(i int) {
		if err := m.Download(benchURL, c.name(i)).Wait(); err != nil {
			b.Fatal(err)
		}
	}
	const sealed = 4096
	for i := range sealed { // which these files, not being downloaded, are not
		hit(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		hit(i % sealed)
	}
	require.NoError(b, m.Close())
}

// benchCommand is a whole run of the command that commandEnv names, for a file that
// is there: by its name alone, and by its entry, too.
func (c *benchCache) benchCommand(b *testing.B) {
	command := os.Getenv(commandEnv)
	if command == "" {
		b.Skip("there is no command in $" + commandEnv)
	}
	name, err := TreeName(benchURL)
	require.NoError(b, err)
	m := c.open(b)
	require.NoError(b, os.MkdirAll(filepath.Dir(filepath.Join(c.dir, name)), 0o777))
	c.make(b, m.dir, name, c.used)
	require.NoError(b, m.Close())
	for _, args := range [][]string{{}, {"--checksum", benchDigest}} {
		b.Run("checksum="+strconv.FormatBool(len(args) > 0), func(b *testing.B) {
			args := append([]string{"get", "--offline", "--cache-dir", c.dir, benchURL}, args...)
			for b.Loop() {
				if out, err := exec.Command(command, args...).CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
			}
		})
	}
	require.NoError(b, os.Remove(filepath.Join(c.dir, name)))
}

// benchTouch is what a hit adds when the last use is not of just now.
func (c *benchCache) benchTouch(b *testing.B) {
	m := c.open(b)
	info, err := m.dir.Stat(c.names[0])
	require.NoError(b, err)
	now := time.Now()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Minute)
		m.dir.Touch(c.name(i), info, now)
		m.limit.touch(m.shelf, c.name(i), now)
	}
	for i := range min(b.N, len(c.names)) { // the times were of the future
		_ = os.Chtimes(filepath.Join(c.dir, c.name(i)), c.used, c.used)
	}
	require.NoError(b, m.Close())
}

func (c *benchCache) benchLookup(b *testing.B) {
	m := c.open(b)
	_, ok := m.dir.Lookup(c.names[0])
	require.True(b, ok)
	for i := 0; b.Loop(); i++ {
		if _, ok := m.dir.Lookup(c.name(i)); !ok {
			b.Fatal("not known")
		}
	}
	require.NoError(b, m.Close())
}

func (c *benchCache) benchRegister(b *testing.B) {
	p := NewPersistLimit(int64(len(c.names))*10, 5)
	for _, name := range c.names {
		require.NoError(b, p.RegisterFile(filepath.Join(c.dir, name)))
	}
	for i := 0; b.Loop(); i++ {
		if err := p.RegisterFile(filepath.Join(c.dir, c.name(i))); err != nil {
			b.Fatal(err)
		}
	}
}

func (c *benchCache) benchRecord(b *testing.B) {
	m := c.open(b)
	e, ok := m.dir.Lookup(c.names[0])
	require.True(b, ok)
	for b.Loop() {
		if err := m.dir.Record(e); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, m.Close())
}

// benchCompact has a journal written anew that is twice as long as it has to be.
func (c *benchCache) benchCompact(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		d, err := fs.Open(afero.NewOsFs(), c.dir, fs.Options{})
		require.NoError(b, err)
		path := filepath.Join(c.dir, ".dlm/entries")
		old, err := os.ReadFile(path)
		require.NoError(b, err)
		require.NoError(b, os.WriteFile(path, append(append(old, make([]byte, 1<<20)...), old...), 0o666))
		b.StartTimer()
		require.NoError(b, d.Tidy(b.Context(), time.Now(), func(fs.Leftover) {}))
		b.StopTimer()
		require.NoError(b, d.Close())
		b.StartTimer()
	}
}

// benchEvictOne evicts one file from a full cache, into which another one has just
// come, and says how long the removal of a file takes without a cache.
func (c *benchCache) benchEvictOne(b *testing.B) {
	m := c.open(b)
	require.NoError(b, m.house.stop()) // or it evicts first
	require.NoError(b, m.limit.learn(b.Context(), m.shelf))
	m.limit.setLimit(int64(len(c.names)-1) * 10)
	var evicting, unlinking time.Duration
	now := time.Now()
	for b.Loop() {
		began := time.Now()
		removed, err := m.limit.trim(context.Background(), false)
		evicting += time.Since(began)
		if err != nil || len(removed) != 1 {
			b.Fatalf("%v %v %+v", removed, err, m.limit.Usage())
		}
		name, err := filepath.Rel(c.dir, removed[0].Path)
		require.NoError(b, err)
		c.make(b, m.dir, name, now)
		began = time.Now()
		require.NoError(b, os.Remove(removed[0].Path))
		unlinking += time.Since(began)
		c.make(b, m.dir, name, now)
		m.dir.Count(fs.Change{Files: 1, Bytes: 10})
		m.limit.add(m.shelf, name, 10, now)
	}
	b.ReportMetric(float64(evicting.Nanoseconds())/float64(b.N), "ns/evict")
	b.ReportMetric(float64(unlinking.Nanoseconds())/float64(b.N), "ns/unlink")
	c.restore(b, m)
}

// benchEvictTenth evicts a tenth of the files at once, and counts for each.
func (c *benchCache) benchEvictTenth(b *testing.B) {
	tenth := len(c.names) / 10
	for b.Loop() {
		b.StopTimer()
		m := c.open(b)
		require.NoError(b, m.house.stop()) // or it evicts first
		require.NoError(b, m.limit.learn(b.Context(), m.shelf))
		m.limit.setLimit(int64(len(c.names)-tenth) * 10)
		b.StartTimer()
		removed, err := m.limit.trim(context.Background(), false)
		b.StopTimer()
		require.NoError(b, err)
		require.Len(b, removed, tenth)
		c.restore(b, m)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*tenth), "ns/file")
}

// restore makes the files again that were evicted.
func (c *benchCache) restore(b *testing.B, m *DownloadManager) {
	for i, name := range c.names {
		if _, err := os.Lstat(filepath.Join(c.dir, name)); err == nil {
			continue
		}
		require.NoError(b, os.MkdirAll(filepath.Dir(filepath.Join(c.dir, name)), 0o777))
		c.make(b, m.dir, name, c.used.Add(time.Duration(i)*time.Millisecond))
		m.dir.Count(fs.Change{Files: 1, Bytes: 10})
	}
	require.NoError(b, m.Close())
}

// BenchmarkLinearSearch is for comparison: to find the file that was not used for
// longest by a look at every entry, as cloudfoundry's cacheddownloader does.
func BenchmarkLinearSearch(b *testing.B) {
	type entry struct {
		size   int64
		access time.Time
	}
	for _, n := range cacheSizes() {
		b.Run("files="+strconv.Itoa(n), func(b *testing.B) {
			entries := map[string]entry{}
			for i := range n {
				entries[fmt.Sprintf("%02x/tool-%07d.tar.gz", i%256, i)] = entry{10, minute(i)}
			}
			i := n
			for b.Loop() {
				var oldest string
				var when time.Time
				for name, e := range entries {
					if oldest == "" || e.access.Before(when) {
						oldest, when = name, e.access
					}
				}
				delete(entries, oldest)
				entries[fmt.Sprintf("%02x/tool-%07d.tar.gz", i%256, i)] = entry{10, minute(i)}
				i++
			}
		})
	}
}
