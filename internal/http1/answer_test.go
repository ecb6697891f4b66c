//go:build unix

package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ordinaries are answers of servers that are in use.
var ordinaries = map[string]string{
	"nginx": "HTTP/1.1 200 OK\r\nServer: nginx/1.26.3\r\nDate: Sat, 21 Nov 2026 20:00:00 GMT\r\nContent-Type: application/octet-stream\r\n" +
		"Content-Length: 5\r\nLast-Modified: Sat, 21 Nov 2026 10:00:00 GMT\r\nConnection: keep-alive\r\nETag: \"6742d5e0-5\"\r\n" +
		"Accept-Ranges: bytes\r\n\r\nhello",
	"Go": "HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\nContent-Length: 5\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Last-Modified: Sat, 21 Nov 2026 10:00:00 GMT\r\nDate: Sat, 21 Nov 2026 20:00:00 GMT\r\n\r\nhello",
	"object store": "HTTP/1.1 206 Partial Content\r\nx-amz-id-2: +Q==\r\nx-amz-request-id: 4442587FB7D0A2F9\r\nDate: Sat, 21 Nov 2026 20:00:00 GMT\r\n" +
		"Last-Modified: Sat, 21 Nov 2026 10:00:00 GMT\r\nETag: \"5d41402abc4b2a76b9719d911017c592\"\r\nx-amz-server-side-encryption: AES256\r\n" +
		"x-amz-version-id: null\r\nContent-Disposition: attachment; filename=\"naïve.txt\"\r\nAccept-Ranges: bytes\r\nContent-Range: bytes 0-4/10\r\n" +
		"Content-Type: binary/octet-stream\r\nServer: AmazonS3\r\nContent-Length: 5\r\n\r\nhello",
	"proxy":       "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-type: text/plain\r\netag: W/\"x\"\r\nserver: envoy\r\nvia:\r\n\r\nhello",
	"redirect":    "HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/file?a=b:c\r\nContent-Length: 0\r\n\r\n",
	"error":       "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\nhello",
	"no reason":   "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
	"cut":         "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
	"more behind": hello + hello,
	"blanks":      "HTTP/1.1 200   OK \r\nX-Blanks:    a  b  \r\nContent-Length:5\r\n\r\nhello",
}

func TestOrdinaryAnswersAreReadHere(t *testing.T) {
	for name, text := range ordinaries {
		t.Run(name, func(t *testing.T) {
			require.True(t, isReadAlike(t, []byte(text)))
		})
	}
}

func TestOtherAnswersAreLeftToNetHTTP(t *testing.T) {
	for name, text := range map[string]string{
		"not all there":     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
		"long":              "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxOrdinary) + "\r\nContent-Length: 5\r\n\r\nhello",
		"until the end":     "HTTP/1.1 200 OK\r\n\r\nhello",
		"chunks":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks and length": "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"two lengths":       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"no length":         "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello",
		"signed length":     "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
		"length of 2^63":    "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nhello",
		"close":             "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
		"two of a field":    "HTTP/1.1 200 OK\r\nVia: a\r\nvia: b\r\nContent-Length: 5\r\n\r\nhello",
		"many fields":       "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: x\r\n", maxFields) + "Content-Length: 5\r\n\r\nhello",
		"no name":           "HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 5\r\n\r\nhello",
		"trailer":           "HTTP/1.1 200 OK\r\nTrailer: X\r\nContent-Length: 5\r\n\r\nhello",
		"pragma":            "HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Length: 5\r\n\r\nhello",
		"folded":            "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
		"space before :":    "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 5\r\n\r\nhello",
		"newlines alone":    "HTTP/1.1 200 OK\r\nX: a\nY: b\r\nContent-Length: 5\r\n\r\nhello",
		"tab":               "HTTP/1.1 200 OK\r\nX:\ta\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.0":          "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"100":               "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n",
		"204":               "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
		"304":               "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		"status of 4":       "HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello",
		"space before 200":  "HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello",
	} {
		t.Run(name, func(t *testing.T) {
			require.False(t, isReadAlike(t, []byte(text)))
		})
	}
}

// What is read here is what net/http reads, field by field.
func FuzzOrdinary(f *testing.F) {
	for _, text := range ordinaries {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { isReadAlike(t, text) })
}

// isReadAlike reports whether the answer is ordinary. Then it holds against net/http
// what was read of it, read by read. Else nothing may have been read.
func isReadAlike(t *testing.T, text []byte) bool {
	req := &http.Request{Method: http.MethodGet}
	ours, theirs := bufio.NewReader(bytes.NewReader(text)), bufio.NewReader(bytes.NewReader(text))
	_, _ = ours.Peek(1)
	before := ours.Buffered()
	got := readOrdinary(ours, req)
	if got == nil {
		require.Equal(t, before, ours.Buffered())
		return false
	}
	want, err := http.ReadResponse(theirs, req)
	require.NoError(t, err)
	require.Equal(t, want.Body == http.NoBody, got.Body == http.NoBody)
	for a, b := make([]byte, 3), make([]byte, 3); err == nil; {
		var n, m int
		n, err = want.Body.Read(a)
		m, gotErr := bodyOf(got).Read(b)
		require.Equal(t, err, gotErr)
		require.Equal(t, a[:n], b[:m])
	}
	require.Equal(t, theirs.Buffered(), ours.Buffered())
	got.Header.Add("Etag", "another") // a value that is added changes no other field
	want.Header.Add("Etag", "another")
	got.Body, want.Body = nil, nil
	require.Equal(t, want, got)
	return true
}

// bodyOf returns what the exchange reads an answer's body from.
func bodyOf(resp *http.Response) io.Reader {
	if b, ok := resp.Body.(*body); ok {
		return b.from
	}
	return resp.Body
}

func BenchmarkAnswer(b *testing.B) {
	for name, read := range map[string]func(*bufio.Reader, *http.Request) (*http.Response, error){
		"net/http": http.ReadResponse, "http1": readAnswer,
	} {
		b.Run(name, func(b *testing.B) {
			text := strings.NewReader("")
			r, req := bufio.NewReader(text), newGet(b, b.Context(), "http://h.example/")
			b.ReportAllocs()
			for b.Loop() {
				text.Reset(ordinaries["nginx"])
				r.Reset(text)
				_, _ = r.Peek(1)
				_, _ = read(r, req)
			}
		})
	}
}
