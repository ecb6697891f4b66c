//go:build unix

package http1

import (
	"bytes"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// The head of a request is net/http's, to the byte.
func FuzzHead(f *testing.F) {
	f.Add("h:80", "h", "/a", "", "", "test/1", "Accept-Encoding", "identity", int64(0), true)
	f.Add("", "h", "", "", "a=b c", "", "Range", "bytes=0-", int64(0), true)
	f.Add("[::1%25lo]:80", "h", "/a b", "", "", " test/1\t", "If-Range", "\"x\"\n", int64(0), true)
	f.Add("ä.example", "h", "/\n", "//o/x", "", "a\r\nb", "X y", " v ", int64(0), true)
	f.Add("a b", "h", "*", "o", "?", "test/1", "user-agent", "other", int64(1), true)
	f.Add("h_", "h", "/a", "", "", "test/1", "Content-Length", "7", int64(0), true)
	f.Add("h/x", "h", "/a", "", "", "test/1", "Host", "other", int64(0), true)
	f.Add("h:80", "h", "/a", "", "", "test/1", "Accept-Encoding", "identity", int64(0), false)
	f.Add("h:80", "h", "/a", "", "", "test/1", "Accept-Encoding", " a\r\nb ", int64(0), false)
	f.Fuzz(func(t *testing.T, host, urlHost, path, opaque, query, agent, key, value string, length int64, twice bool) {
		req := &http.Request{
			Method: http.MethodGet, Host: host, ContentLength: length,
			URL:    &url.URL{Scheme: "http", Host: urlHost, Path: path, Opaque: opaque, RawQuery: query},
			Header: http.Header{"User-Agent": {agent}, key: {value}},
		}
		if twice {
			req.Header[key] = append(req.Header[key], "second")
		}
		var want, got bytes.Buffer
		wantErr := req.Write(&want)
		require.Equal(t, wantErr, writeHead(&got, req, isOrdinary(req)))
		if wantErr == nil {
			require.Equal(t, want.String(), got.String())
		}
	})
}

func BenchmarkHead(b *testing.B) {
	req := newGet(b, b.Context(), "http://127.0.0.1:8080/a/b/c")
	req.Header = http.Header{"User-Agent": {"test/1"}, "Accept-Encoding": {"identity"}}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"net/http": func(w *bytes.Buffer) error { return req.Write(w) },
		"http1":    func(w *bytes.Buffer) error { return writeHead(w, req, isOrdinary(req)) },
	} {
		b.Run(name, func(b *testing.B) {
			var w bytes.Buffer
			b.ReportAllocs()
			for b.Loop() {
				w.Reset()
				_ = write(&w)
			}
		})
	}
}
