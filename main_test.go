package dlmanager

import (
	"context"
	"hash/crc32"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		os.Exit(helper(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// newManager returns a manager of a new directory that the test closes.
func newManager(t testing.TB, opts ...Option) *DownloadManager {
	t.Helper()
	return managerAt(t, filepath.Join(t.TempDir(), "cache"), opts...)
}

// managerAt returns a manager of dir that the test closes; then nothing on its
// way may be left in it. It tries once, over one connection, which a slow machine may
// take for a slow line otherwise, unless opts say otherwise.
func managerAt(t testing.TB, dir string, opts ...Option) *DownloadManager {
	t.Helper()
	m, err := NewDownloadManager(dir, append([]Option{WithStrategy(Once{}), WithConnections(1)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, m.Close())
		if m.cfg.defaults.fs.Name() == afero.NewOsFs().Name() {
			requireNoPartials(t, dir)
		}
	})
	return m
}

// requireNoPartials asserts that no file on its way is anywhere below dir.
func requireNoPartials(t testing.TB, dir string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		require.NoError(t, err)
		require.False(t, strings.HasSuffix(path, ".part"), "%s is left", path)
		return nil
	}))
}

// requireContent asserts what is in a file.
func requireContent(t testing.TB, want, path string) {
	t.Helper()
	require.Equal(t, want, readFile(t, path))
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(got)
}

// requireSame asserts that the file is the first size bytes of the origin's
// generated content.
func requireSame(t testing.TB, size int64, path string) {
	t.Helper()
	want, err := io.ReadAll(testorigin.Content(size))
	require.NoError(t, err)
	require.True(t, string(want) == readFile(t, path), "not what the origin sent")
}

func crcOf(t testing.TB, path string) uint32 {
	t.Helper()
	return crc32.Checksum([]byte(readFile(t, path)), crc32.MakeTable(crc32.Castagnoli))
}

// events notes what happens, in order.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(s string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, s)
}

func (e *events) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.list...)
}

// hooks returns hooks that note starts and ends by the destination's base name.
func (e *events) hooks() Hooks {
	return Hooks{
		Started:  func(d *Download) { e.add("started " + filepath.Base(d.Dest())) },
		Finished: func(d *Download) { e.add("finished " + filepath.Base(d.Dest())) },
	}
}

// begun notes the beginning while the download has its place in the queue, which the
// next one may have before the finished hook is called.
func (e *events) begun() DownloadOption {
	return WithProgress(func(d *Download, current, _ int64) {
		if current == 0 {
			e.add(filepath.Base(d.Dest()))
		}
	})
}

// countingDialer counts the connections that are open.
func countingDialer(dial func(context.Context, string, string) (net.Conn, error), open *atomic.Int32) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err == nil {
			open.Add(1)
			conn = &countedConn{Conn: conn, open: open}
		}
		return conn, err
	}
}

type countedConn struct {
	net.Conn
	open *atomic.Int32
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}
