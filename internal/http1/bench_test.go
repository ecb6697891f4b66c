//go:build unix

package http1

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkGet makes requests for 4 KiB from many goroutines.
func BenchmarkGet(b *testing.B) {
	body := make([]byte, 4<<10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	defer server.Close()
	for _, c := range []struct {
		name string
		make func(*http.Transport) closer
	}{{"net/http", netHTTP}, {"http1", ours}} {
		b.Run(c.name, func(b *testing.B) {
			tr := c.make(newBase())
			defer tr.CloseIdleConnections()
			b.ReportAllocs()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				buf := make([]byte, 8<<10)
				for pb.Next() {
					resp, err := tr.RoundTrip(newGet(b, b.Context(), server.URL+"/file"))
					require.NoError(b, err)
					for err == nil {
						_, err = resp.Body.Read(buf)
					}
					require.ErrorIs(b, err, io.EOF)
					require.NoError(b, resp.Body.Close())
				}
			})
		})
	}
}
