package transfer

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkSmallFetch fetches 4 KiB over one connection. The server allocates
// nothing, so that what is counted is the download's.
func BenchmarkSmallFetch(b *testing.B) {
	raw := serveSame(b, "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 21 Nov 2026 20:00:00 GMT\r\n"+
		"Content-Type: application/octet-stream\r\nContent-Length: 4096\r\nLast-Modified: Sat, 21 Nov 2026 10:00:00 GMT\r\n"+
		"Connection: keep-alive\r\nETag: \"6742d5e0-1000\"\r\nAccept-Ranges: bytes\r\n\r\n"+strings.Repeat("x", 4096))
	transport := NewRoundTripper()
	client := &http.Client{Transport: transport}
	defer client.CloseIdleConnections()
	req := Request{URL: parse(b, raw+"/file"), UserAgent: "test/1", Stall: time.Minute, Client: client, Connections: 8}
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context()) // as each download has one
		_, err := Fetch(ctx, req, discarding{})
		require.NoError(b, err)
		cancel()
	}
}

// serveSame gives every request the same answer, and keeps the connections.
func serveSame(t testing.TB, text string) (url string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				answer, buf := []byte(text), make([]byte, 4<<10)
				n := 0
				for {
					more, err := conn.Read(buf[n:])
					if err != nil {
						return
					}
					if n += more; bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						_, _ = conn.Write(answer)
						n = 0
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return "http://" + listener.Addr().String()
}
