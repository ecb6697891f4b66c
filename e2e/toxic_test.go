package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager"
)

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// toxic is one way to break connections: its type and attributes.
type toxic struct{ kind, attributes string }

// behind starts a proxy before the server, with toxics for what the client
// receives, and returns it and the URL of the server's file through it.
func behind(t *testing.T, s *store, toxics ...toxic) (*toxiproxy.Proxy, string) {
	t.Helper()
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(api, t.Name(), "127.0.0.1:0", s.Listener.Addr().String())
	require.NoError(t, p.Start())
	t.Cleanup(p.Stop)
	for _, x := range toxics {
		add(t, p, x)
	}
	return p, "http://" + p.Listen + "/file.bin"
}

func add(t *testing.T, p *toxiproxy.Proxy, x toxic) {
	t.Helper()
	_, err := p.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"type": %q, "attributes": {%s}}`, x.kind, x.attributes)))
	require.NoError(t, err)
}

// counting returns an option for connections whose bytes are counted as they are
// read, and how many connections there were.
func counting(t *testing.T) (opt dlmanager.DownloadOption, received, connections *atomic.Int64) {
	t.Helper()
	received, connections = new(atomic.Int64), new(atomic.Int64)
	transport := dlmanager.NewTransport()
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err == nil {
			connections.Add(1)
			conn = &countedConn{conn, received}
		}
		return conn, err
	}
	t.Cleanup(transport.CloseIdleConnections)
	return dlmanager.WithTransport(transport), received, connections
}

type countedConn struct {
	net.Conn
	received *atomic.Int64
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received.Add(int64(n))
	return n, err
}

// headers is more than the headers of an answer take, in bytes.
const headers = 1 << 10

// ahead is how many bytes a connection may be ahead of its end when another one takes
// that, which the last one keeps.
const ahead = 1 << 20

func TestProxyLimitsTheBytesOfEachConnection(t *testing.T) {
	const size, limit = 8 << 20, 3 << 20
	s := newStore(t, size)
	s.Start()
	_, url := behind(t, s, toxic{"limit_data", fmt.Sprintf(`"bytes": %d`, limit)})
	count, received, connections := counting(t)
	r := fetch(t, s.file, url, count, dlmanager.WithConnections(1))
	assert.EqualValues(t, size, r.WireBytes, "what has come is not fetched again")
	assert.EqualValues(t, 3, connections.Load())
	assert.LessOrEqual(t, received.Load(), int64(size+3*headers))
	ranges, _ := s.asked()
	require.Len(t, ranges, 3)
	assert.Empty(t, ranges[0])
	assert.Equal(t, 3, r.Attempts)
}

func TestProxyLimitsTheBytesOfAllThatIsWorthNothing(t *testing.T) {
	s := newStore(t, 8<<20)
	s.Start()
	_, url := behind(t, s, toxic{"limit_data", `"bytes": 100`}) // not even the headers
	err := fetchInVain(t, url)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.True(t, dlmanager.IsTemporary(err))
	ranges, _ := s.asked()
	assert.Equal(t, []string{"", "", ""}, ranges)
}

func TestProxyResetsConnections(t *testing.T) {
	s := newStore(t, 4<<20)
	s.Start()
	p, url := behind(t, s, toxic{"reset_peer", `"timeout": 0`})
	err := fetchInVain(t, url)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	assert.True(t, dlmanager.IsTemporary(err))

	retries := 0
	r := fetch(t, s.file, url, dlmanager.WithHooks(dlmanager.Hooks{
		Retrying: func(*dlmanager.Download, dlmanager.Attempt, time.Duration) {
			retries++
			p.Toxics.ResetToxics(t.Context())
		},
	}))
	assert.Equal(t, 1, retries)
	assert.EqualValues(t, 4<<20, r.WireBytes)

	_, reset := behind(t, s, toxic{"reset_peer", `"timeout": 0`})
	r = fetch(t, s.file, reset, dlmanager.WithMirrors(s.URL+"/file.bin"), dlmanager.WithStrategy(dlmanager.Once{}))
	assert.Equal(t, s.URL+"/file.bin", r.FinalURL)
}

func TestProxySlices(t *testing.T) {
	const size = 1 << 20
	s := newStore(t, size)
	s.Start()
	_, url := behind(t, s, toxic{"slicer", `"average_size": 700, "size_variation": 600, "delay": 0`})
	count, received, connections := counting(t)
	r := fetch(t, s.file, url, count)
	assert.Equal(t, 1, r.Attempts)
	assert.EqualValues(t, 1, connections.Load())
	assert.LessOrEqual(t, received.Load(), int64(size+headers))
}

func TestProxyIsFarAway(t *testing.T) {
	const size = 4 << 20
	s := newStore(t, size)
	s.Start()
	_, url := behind(t, s, toxic{"latency", `"latency": 100, "jitter": 20`})
	count, received, connections := counting(t)
	r := fetch(t, s.file, url, count)
	assert.Equal(t, 1, r.Attempts)
	assert.LessOrEqual(t, received.Load(), int64(size)+connections.Load()*headers+(connections.Load()-1)*ahead)
	require.ErrorIs(t, fetchInVain(t, url, dlmanager.WithStallTimeout(20*time.Millisecond)), dlmanager.ErrStalled)
}

func TestProxyGoesSilent(t *testing.T) {
	s := newStore(t, 4<<20)
	s.Start()
	_, url := behind(t, s, toxic{"timeout", `"timeout": 0`})
	retries := 0
	err := fetchInVain(t, url, dlmanager.WithStallTimeout(100*time.Millisecond), dlmanager.WithHooks(dlmanager.Hooks{
		Retrying: func(*dlmanager.Download, dlmanager.Attempt, time.Duration) { retries++ },
	}))
	require.ErrorIs(t, err, dlmanager.ErrStalled)
	assert.Equal(t, 2, retries)
	ranges, _ := s.asked() // who was given up may not have got that far
	assert.LessOrEqual(t, len(ranges), 3)
	for _, one := range ranges {
		assert.Empty(t, one)
	}

	_, url = behind(t, s, toxic{"timeout", `"timeout": 50`}) // and then ends the connection
	require.ErrorIs(t, fetchInVain(t, url), io.ErrUnexpectedEOF)
}

func TestProxyGoesSilentMidway(t *testing.T) {
	const size = 4 << 20
	s := newStore(t, size)
	s.hold, s.cutAt = make(chan struct{}), 1<<20
	s.Start()
	p, url := behind(t, s)
	silent := make(chan struct{})
	m, dir := newManager(t)
	d := m.Download(url, "file", dlmanager.WithStallTimeout(500*time.Millisecond), dlmanager.WithConnections(1), dlmanager.WithHooks(dlmanager.Hooks{
		Retrying: func(*dlmanager.Download, dlmanager.Attempt, time.Duration) { p.Toxics.ResetToxics(t.Context()) },
	}))
	once := false
	d.SetProgress(func(_ *dlmanager.Download, current, _ int64) {
		if current >= s.cutAt && !once {
			once = true
			close(silent)
		}
	})
	<-silent
	add(t, p, toxic{"timeout", `"timeout": 0`})
	close(s.hold)
	require.NoError(t, d.Wait())
	assert.FileExists(t, d.Dest())
	require.Empty(t, unfinished(t, dir))
	r := d.Result()
	assert.GreaterOrEqual(t, r.Attempts, 2)
	assert.EqualValues(t, size, r.WireBytes)
	got, err := os.ReadFile(d.Dest())
	require.NoError(t, err)
	require.True(t, bytes.Equal(s.file, got), "not what the server has")
}

func TestProxyIsSlow(t *testing.T) {
	const size = 2 << 20
	s := newStore(t, size)
	s.Start()
	_, url := behind(t, s, toxic{"bandwidth", `"rate": 2048`}) // KiB/s of each connection
	count, received, connections := counting(t)
	r := fetch(t, s.file, url, count)
	assert.Equal(t, 1, r.Attempts)
	assert.LessOrEqual(t, received.Load(), int64(size)+connections.Load()*headers+(connections.Load()-1)*ahead)
	ranges, _ := s.asked()
	assert.Empty(t, ranges[0])
}

func TestProxyLimitsTheRateOfEachConnection(t *testing.T) {
	const size = 8 << 20
	s := newStore(t, size)
	s.Start()
	_, url := behind(t, s, toxic{"bandwidth", `"rate": 4096`})
	count, received, connections := counting(t)
	r := fetch(t, s.file, url, count, dlmanager.WithConnections(4))
	assert.Equal(t, 1, r.Attempts)
	assert.EqualValues(t, size, r.WireBytes, "no byte is stored twice")
	assert.LessOrEqual(t, received.Load(), int64(size)+connections.Load()*headers+(connections.Load()-1)*ahead)
	ranges, _ := s.asked()
	assert.GreaterOrEqual(t, len(ranges), 4)
	for _, one := range ranges[1:] {
		assert.Regexp(t, `^bytes=\d+-\d*$`, one)
	}
}

func TestProxyIsGone(t *testing.T) {
	s := newStore(t, 1<<20)
	s.Start()
	p, url := behind(t, s)
	p.Stop()
	err := fetchInVain(t, url)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.True(t, dlmanager.IsTemporary(err))
	ranges, _ := s.asked()
	assert.Empty(t, ranges)

	r := fetch(t, s.file, url, dlmanager.WithHooks(dlmanager.Hooks{
		Retrying: func(*dlmanager.Download, dlmanager.Attempt, time.Duration) {
			if !p.Enabled {
				assert.NoError(t, p.Start())
			}
		},
	}))
	assert.Equal(t, 2, r.Attempts)
}
