package dlmanager

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/fs"
)

// crowdContent is what the file with the number holds: 500 to 1523 bytes.
func crowdContent(i int) string {
	return strings.Repeat(fmt.Sprintf("%08d", i), 500/8+1)[:500] + strings.Repeat("x", i*7919%1024)
}

// crowd is a process of many that fetch and read the files 0 to COUNT in an order
// of its own: DIR URL/ COUNT LIMIT SEED.
func crowd(args []string) int {
	count, _ := strconv.Atoi(args[2])
	limit, _ := strconv.ParseInt(args[3], 10, 64)
	seed, _ := strconv.ParseUint(args[4], 10, 64)
	m, err := NewDownloadManager(args[0], WithSizeLimit(limit), WithFileLimit(1), WithSync(SyncNone), WithStallTimeout(time.Minute))
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	names := make(chan int)
	errs := make(chan error, 4)
	var wg sync.WaitGroup
	for range cap(errs) {
		wg.Go(func() {
			for i := range names {
				if err := fetchAndRead(m, args[1], i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	go func() {
		defer close(names)
		for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(count) {
			names <- i
		}
	}()
	wg.Wait()
	select {
	case err = <-errs:
	default:
	}
	if err := errors.Join(err, m.Close()); err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("done all")
	return 0
}

// fetchAndRead reads a file, and fetches it again if it was evicted first.
func fetchAndRead(m *DownloadManager, base string, i int) error {
	for range 100 {
		d := m.Download(base+strconv.Itoa(i), strconv.Itoa(i%16)+"/"+strconv.Itoa(i))
		if err := d.Wait(); err != nil {
			return err
		}
		text, err := os.ReadFile(d.Dest())
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil && string(text) != crowdContent(i) {
			err = fmt.Errorf("file %d is torn: %d bytes", i, len(text))
		}
		return err
	}
	return fmt.Errorf("file %d is evicted again and again", i)
}

// crowding is a test of several processes that fill one directory far beyond its
// limit.
type crowding struct {
	processes, files int
	kills            int // processes that are killed, and replaced
}

func (c crowding) run(t *testing.T) {
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i, _ := strconv.Atoi(path.Base(r.URL.Path))
		_, _ = w.Write([]byte(crowdContent(i)))
	}))
	t.Cleanup(o.Close)
	var sum int64
	for i := range c.files {
		sum += int64(len(crowdContent(i)))
	}
	limit := sum / 10
	dir := filepath.Join(t.TempDir(), "cache")
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	start := func() *process {
		return startProcess(t, "crowd", dir, o.URL+"/", strconv.Itoa(c.files), strconv.FormatInt(limit, 10), strconv.FormatUint(random.Uint64(), 10))
	}
	running := make([]*process, c.processes)
	for i := range running {
		running[i] = start()
	}
	watching := newCrowdWatch(t, dir, limit)
	ended := make(chan struct{})
	var ends sync.WaitGroup
	await := func(p *process) {
		ends.Go(func() { assert.Equal(t, "all", p.end()) })
	}
	for killed := 0; killed < c.kills; killed++ {
		time.Sleep(time.Duration(random.Int64N(int64(50 * time.Millisecond)))) // when does not matter
		i := random.IntN(len(running))
		require.NoError(t, running[i].Process.Kill())
		_ = running[i].Wait()
		running[i] = start()
		watching.look(running)
	}
	for _, p := range running {
		await(p)
	}
	go func() { ends.Wait(); close(ended) }()
	for watching.pause(ended) {
		watching.look(running)
	}
	t.Logf("%d looks, at most %.0f %% of the limit, %.0f %% at last", watching.looks, 100*watching.most, 100*watching.last)
	require.Greater(t, watching.looks, 0)

	// Whatever happened, the count is that of the disk once the files are counted.
	m := managerAt(t, dir, WithSizeLimit(limit), WithFileLimit(1))
	require.NoError(t, m.house.load(t.Context()))
	m.dir.Sweep()
	u := m.Stats()
	assert.Equal(t, bytesIn(t, dir), u.Bytes)
	assert.Zero(t, u.Reserved)
	assert.LessOrEqual(t, u.Bytes, limit)
	assert.Greater(t, u.Bytes, limit/2, "and not for nothing")
}

// bytesIn sums up the finished files.
func bytesIn(t *testing.T, dir string) (sum int64) {
	t.Helper()
	d, err := fs.Open(afero.NewOsFs(), dir, fs.Options{})
	require.NoError(t, err)
	defer d.Close()
	require.NoError(t, d.Walk(t.Context(), func(_ string, info fs.Info) error {
		sum += info.Size
		return nil
	}))
	return sum
}
