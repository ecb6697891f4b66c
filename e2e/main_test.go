package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/dlmanager/dlmanager"
)

func TestMain(m *testing.M) {
	zerolog.SetGlobalLevel(zerolog.Disabled)
	// A toxic that ends a connection does not wait for what feeds it, which then
	// hangs for ever in toxiproxy.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"))
}

// atOnce tries again without a wait what is temporary, until so many requests in a
// row have brought nothing.
type atOnce int

func (n atOnce) Next(a dlmanager.Attempt) (time.Duration, bool) {
	return 0, dlmanager.IsTemporary(a.Err) && a.Barren < int(n)
}

// newManager returns a manager of a new directory and its path.
func newManager(t *testing.T, opts ...dlmanager.Option) (m *dlmanager.DownloadManager, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "cache")
	m, err := dlmanager.NewDownloadManager(dir, append([]dlmanager.Option{dlmanager.WithStrategy(atOnce(3))}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, m.Close()) })
	return m, dir
}

// fetch downloads and asserts that exactly want is there, and nothing unfinished.
func fetch(t *testing.T, want []byte, url string, opts ...dlmanager.DownloadOption) dlmanager.Result {
	t.Helper()
	m, dir := newManager(t)
	d := m.Download(url, "file", opts...)
	require.NoError(t, d.Wait())
	got, err := os.ReadFile(d.Dest())
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "not what the server has")
	require.Empty(t, unfinished(t, dir))
	return d.Result()
}

// fetchInVain downloads and asserts that there is no file. It returns the error.
func fetchInVain(t *testing.T, url string, opts ...dlmanager.DownloadOption) error {
	t.Helper()
	m, _ := newManager(t)
	d := m.Download(url, "file", opts...)
	err := d.Wait()
	require.Error(t, err)
	require.NoFileExists(t, d.Dest())
	require.ErrorIs(t, m.Wait(), err)
	return err
}

// unfinished returns the files of unfinished downloads below dir.
func unfinished(t *testing.T, dir string) (all []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".part") {
			all = append(all, path)
		}
		return err
	}))
	return all
}

// content returns bytes of which no two stretches are alike.
func content(size int) []byte {
	source := rand.NewChaCha8([32]byte{1})
	b := make([]byte, size)
	_, _ = source.Read(b) // never fails
	return b
}

// store is an HTTP server with one file, which has a strong tag.
type store struct {
	*httptest.Server
	file []byte

	mu     sync.Mutex
	ranges []string // that were asked for, "" for the whole
	protos []int    // major versions of HTTP
	sent   int64    // bytes of bodies
	cuts   int      // how many answers end early, after cutAt bytes
	cutAt  int64
	kill   bool          // with the whole connection
	hold   chan struct{} // if it is there, the first answer stands still after cutAt bytes until it is closed
}

func newStore(t *testing.T, size int) *store {
	s := &store{file: content(size)}
	s.Server = httptest.NewUnstartedServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	s.protos = append(s.protos, r.ProtoMajor)
	counted := &counted{ResponseWriter: w, store: s, left: -1}
	if s.cuts > 0 {
		s.cuts--
		counted.left, counted.kill = s.cutAt, s.kill
	}
	first := len(s.ranges) == 1
	s.mu.Unlock()
	if first && s.hold != nil {
		counted.left = s.cutAt
		counted.hold, counted.gone = s.hold, r.Context().Done()
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, len(s.file)))
	http.ServeContent(counted, r, "file.bin", time.Time{}, bytes.NewReader(s.file))
}

// asked returns the ranges that were asked for and how many bytes were sent.
func (s *store) asked() (ranges []string, sent int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.ranges...), s.sent
}

// counted counts a body's bytes, and ends it early.
type counted struct {
	http.ResponseWriter
	store *store
	left  int64 // -1: no end
	kill  bool
	hold  chan struct{} // what to wait for rather than end
	gone  <-chan struct{}
}

func (c *counted) Write(b []byte) (int, error) {
	short := c.left >= 0 && int64(len(b)) >= c.left
	if short && c.hold != nil {
		return c.writeAround(b)
	}
	if short {
		b = b[:c.left]
	}
	c.store.mu.Lock()
	c.store.sent += int64(len(b)) // before the client can have them
	c.store.mu.Unlock()
	n, err := c.ResponseWriter.Write(b)
	if c.left >= 0 {
		c.left -= int64(n)
	}
	if short {
		_ = http.NewResponseController(c.ResponseWriter).Flush() // the end is early anyway
		if c.kill {
			c.store.CloseClientConnections()
		}
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// writeAround stands still where it has to.
func (c *counted) writeAround(b []byte) (int, error) {
	before, rest := b[:c.left], b[c.left:]
	c.left = -1
	n, err := c.Write(before)
	if err != nil {
		return n, err
	}
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	select {
	case <-c.hold:
	case <-c.gone:
	}
	m, err := c.Write(rest)
	return n + m, err
}
