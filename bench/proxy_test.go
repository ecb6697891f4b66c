package main

import (
	"bytes"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// server answers each connection by respond, until the test ends.
func server(t *testing.T, respond func(c *net.TCPConn)) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			respond(c.(*net.TCPConn))
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-over
	})
	return l.Addr().String()
}

func through(t *testing.T, target string, o proxyOptions) *net.TCPConn {
	p, err := startProxy(target, o)
	require.NoError(t, err)
	c, err := net.Dial("tcp", p.addr)
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		require.NoError(t, p.close())
	})
	return c.(*net.TCPConn)
}

func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 / 3)
	}
	return b
}

func echo(c *net.TCPConn) { _, _ = io.Copy(c, c) }

func TestTheProxyPassesAllBytesAndBothEnds(t *testing.T) {
	for _, o := range []proxyOptions{{window: 10}, {window: proxyWindow}, {window: proxyWindow, delay: time.Millisecond}} {
		c := through(t, server(t, echo), o)
		want := content(100_000)
		go func() {
			_, _ = c.Write(want) // the answer tells
			_ = c.CloseWrite()
		}()
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
	}
}

func TestTheProxyDelaysEachDirection(t *testing.T) {
	const delay = 20 * time.Millisecond
	c := through(t, server(t, echo), proxyOptions{window: proxyWindow, delay: delay})
	for range 3 {
		start := time.Now()
		_, err := c.Write([]byte("x"))
		require.NoError(t, err)
		_, err = io.ReadFull(c, make([]byte, 1))
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(start), 2*delay)
	}
}

func TestAWindowBoundsTheRate(t *testing.T) {
	// Five windows need five delays at least, one after the other.
	const delay, window = 10 * time.Millisecond, 1000
	start := time.Now()
	c := through(t, server(t, func(c *net.TCPConn) { _, _ = c.Write(content(5 * window)) }), proxyOptions{window: window, delay: delay})
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Len(t, got, 5*window)
	require.GreaterOrEqual(t, time.Since(start), 5*delay)
}

func TestTheProxyResetsAfterExactlySoManyBytes(t *testing.T) {
	const after = 300_000
	c := through(t, server(t, func(c *net.TCPConn) { _, _ = c.Write(content(2 * after)) }), proxyOptions{window: proxyWindow, resetAfter: after})
	got, err := io.ReadAll(c)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.True(t, bytes.Equal(content(after), got), "%d bytes", len(got))
}

func TestWhatIsShorterIsNotReset(t *testing.T) {
	c := through(t, server(t, func(c *net.TCPConn) { _, _ = c.Write(content(1000)) }), proxyOptions{window: proxyWindow, resetAfter: 1001})
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Len(t, got, 1000)
}

func TestClosingTheProxyEndsItsConnections(t *testing.T) {
	p, err := startProxy(server(t, echo), proxyOptions{window: proxyWindow})
	require.NoError(t, err)
	c, err := net.Dial("tcp", p.addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, p.close())
	_, err = c.Read(make([]byte, 1))
	require.Error(t, err)
}
