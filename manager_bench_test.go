package dlmanager

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// BenchmarkHit is a Download and its Wait for a file that is there, on a real
// directory: one that was fetched, fresh, as in a burst of hits, and with a last use
// to be renewed; and one that somebody put there, of which nothing is known.
func BenchmarkHit(b *testing.B) {
	o := testorigin.New(b)
	url := o.Serve("/file", []byte("x"))
	for _, name := range []string{"name", "some/folder/name"} {
		for _, kind := range []string{"fetched", "renew", "unknown"} {
			b.Run(fmt.Sprintf("folders=%d/%s", strings.Count(name, "/"), kind), func(b *testing.B) {
				m := newManager(b, WithSizeLimit(1<<30))
				dest := m.dir.Path(name)
				if kind == "unknown" {
					require.NoError(b, m.Download(url, "another").Wait())
					require.NoError(b, os.MkdirAll(filepath.Dir(dest), 0o777))
					require.NoError(b, os.WriteFile(dest, []byte("x"), 0o666))
				} else {
					require.NoError(b, m.Download(url, name).Wait())
				}
				fi, err := os.Stat(dest)
				require.NoError(b, err)
				old := time.Now().Add(-time.Hour)
				b.ReportAllocs()
				for b.Loop() {
					if kind == "renew" {
						b.StopTimer()
						require.NoError(b, os.Chtimes(dest, old, fi.ModTime()))
						b.StartTimer()
					}
					if err := m.Download("https://example.com/file", name).Wait(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkLease is what a lease costs: a file that is there, opened with it and
// closed, by Open and by Get; and for comparison opened by its path.
func BenchmarkLease(b *testing.B) {
	for _, name := range []string{"name", "some/folder/name"} {
		m := newManager(b, WithSizeLimit(1<<30))
		dest := m.dir.Path(name)
		require.NoError(b, os.MkdirAll(filepath.Dir(dest), 0o777))
		require.NoError(b, os.WriteFile(dest, []byte("x"), 0o666))
		for how, open := range map[string]func() (io.Closer, error){
			"path": func() (io.Closer, error) { return os.Open(dest) },
			"Open": func() (io.Closer, error) { return m.Open(name) },
			"Get":  func() (io.Closer, error) { return m.Get(b.Context(), "https://example.com/file", name) },
		} {
			b.Run(fmt.Sprintf("folders=%d/%s", strings.Count(name, "/"), how), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					f, err := open()
					if err != nil {
						b.Fatal(err)
					}
					if err := f.Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// silent is a server that never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

// BenchmarkStart is what a caller waits for a Download of a file that is not
// there, while others run and many are queued.
func BenchmarkStart(b *testing.B) {
	const queued = 1000
	m := newManager(b, WithTransport(silent{}))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		m.Download("https://example.com/file", fmt.Sprint("some/folder/file", i))
		if i%queued == 0 {
			b.StopTimer()
			m.Cancel(nil)
			require.NoError(b, m.idle(b.Context()))
			b.StartTimer()
		}
	}
}

// BenchmarkSmallFile is the whole life of a file of 4 KiB, over loopback.
func BenchmarkSmallFile(b *testing.B) {
	for _, mode := range []SyncMode{SyncNone, SyncFile} {
		b.Run(fmt.Sprintf("sync=%d", mode), func(b *testing.B) {
			o := testorigin.New(b)
			url := o.ServeSize("/file", 4096)
			m := newManager(b, WithSync(mode))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				if err := m.Download(url, fmt.Sprint("file", i)).Wait(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
