package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mccutchen/go-httpbin/v2/httpbin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager"
)

// newBin starts go-httpbin and returns its base URL. Its /range is the alphabet
// again and again.
func newBin(t *testing.T, wrap ...func(http.Handler) http.Handler) string {
	t.Helper()
	handler := httpbin.New(httpbin.WithMaxBodySize(8 << 20)).Handler()
	for _, w := range wrap {
		handler = w(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func alphabet(size int) []byte {
	return bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyz"), size/26+1)[:size]
}

// read downloads and returns what came.
func read(t *testing.T, url string, opts ...dlmanager.DownloadOption) ([]byte, dlmanager.Result) {
	t.Helper()
	m, _ := newManager(t)
	d := m.Download(url, "file", opts...)
	require.NoError(t, d.Wait())
	got, err := os.ReadFile(d.Dest())
	require.NoError(t, err)
	return got, d.Result()
}

func requireStatus(t *testing.T, code int, err error) {
	t.Helper()
	status, ok := errors.AsType[*dlmanager.StatusError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, code, status.Code)
}

func TestBinRange(t *testing.T) {
	const size = 4<<20 + 1
	base := newBin(t)
	for name, opts := range map[string][]dlmanager.DownloadOption{
		"adaptive": nil, "four connections": {dlmanager.WithConnections(4)},
	} {
		t.Run(name, func(t *testing.T) {
			r := fetch(t, alphabet(size), base+"/range/4194305", opts...)
			assert.EqualValues(t, size, r.WireBytes, "an unquoted tag proves nothing, so one connection brings it all")
			assert.Equal(t, "range4194305", r.ETag)
		})
	}
}

// cutFirst ends the first answer after some bytes, and notes the ranges asked for.
type cutFirst struct {
	after int

	mu     sync.Mutex
	ranges []string
}

func (c *cutFirst) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.ranges = append(c.ranges, r.Header.Get("Range"))
		first := len(c.ranges) == 1
		c.mu.Unlock()
		if first {
			w = &ending{w, c.after}
		}
		next.ServeHTTP(w, r)
	})
}

// ending ends an answer after some bytes.
type ending struct {
	http.ResponseWriter
	left int
}

func (e *ending) Write(b []byte) (int, error) {
	if len(b) < e.left {
		e.left -= len(b)
		return e.ResponseWriter.Write(b)
	}
	_, _ = e.ResponseWriter.Write(b[:e.left])
	_ = http.NewResponseController(e.ResponseWriter).Flush() // the end is early anyway
	panic(http.ErrAbortHandler)
}

func TestBinRangeCutMidway(t *testing.T) {
	const size = 3 << 20
	whole := &cutFirst{after: 2 << 20}
	r := fetch(t, alphabet(size), newBin(t, whole.wrap)+"/range/3145728")
	assert.Equal(t, []string{"", ""}, whole.ranges, "the tag is unquoted: from the beginning")
	assert.EqualValues(t, 5<<20, r.WireBytes)

	rest := &cutFirst{after: 2 << 20}
	sum := "sha256:" + sha256Hex(alphabet(size))
	r = fetch(t, alphabet(size), newBin(t, rest.wrap)+"/range/3145728", dlmanager.WithChecksum(sum))
	assert.Equal(t, []string{"", "bytes=2097152-"}, rest.ranges, "a checksum tells whether the parts fit")
	assert.EqualValues(t, size, r.WireBytes)
}

func TestBinRedirects(t *testing.T) {
	base := newBin(t)
	for _, kind := range []string{"redirect", "relative-redirect", "absolute-redirect"} {
		_, r := read(t, base+"/"+kind+"/10")
		assert.Equal(t, base+"/get", r.FinalURL)
		require.ErrorContains(t, fetchInVain(t, base+"/"+kind+"/11"), "10 redirects")
	}
}

func TestBinCredentialsStayWithTheirHost(t *testing.T) {
	base := newBin(t)
	other := strings.Replace(base, "127.0.0.1", "localhost", 1)
	from := strings.Replace(base, "://", "://user:word@", 1) + "/redirect-to?url="
	for to, want := range map[string]int{base: 1, other: 0} {
		got, _ := read(t, from+to+"/headers", dlmanager.WithHeader("X-Token", "t"))
		var seen struct{ Headers http.Header }
		require.NoError(t, json.Unmarshal(got, &seen))
		assert.Len(t, seen.Headers["Authorization"], want, to)
		assert.Len(t, seen.Headers["X-Token"], want, to)
		assert.Equal(t, []string{"identity"}, seen.Headers["Accept-Encoding"])
	}
}

func TestBinBasicAuth(t *testing.T) {
	base := newBin(t)
	with := func(login string) string {
		return strings.Replace(base, "://", "://"+login+"@", 1) + "/basic-auth/user/word"
	}
	got, _ := read(t, with("user:word"))
	assert.Contains(t, string(got), `"authenticated": true`)
	requireStatus(t, 401, fetchInVain(t, with("user:wrong")))
	requireStatus(t, 401, fetchInVain(t, base+"/basic-auth/user/word"))
	got, _ = read(t, base+"/bearer", dlmanager.WithHeader("Authorization", "Bearer abc"))
	assert.Contains(t, string(got), "abc")
}

func TestBinStatus(t *testing.T) {
	base := newBin(t)
	for code, temporary := range map[string]bool{
		"204": false, "304": false, "400": false, "403": false, "404": false, "410": false, "418": false, "429": true, "500": true, "503": true,
	} {
		err := fetchInVain(t, base+"/status/"+code)
		assert.ErrorContains(t, err, "server answered "+code)
		assert.Equal(t, temporary, dlmanager.IsTemporary(err), code)
	}
	require.ErrorIs(t, fetchInVain(t, base+"/status/404"), dlmanager.ErrNotFound)
}

func TestBinDrip(t *testing.T) {
	base := newBin(t)
	r := fetch(t, bytes.Repeat([]byte("*"), 20), base+"/drip?numbytes=20&duration=400ms&delay=0s")
	assert.Equal(t, 1, r.Attempts)
	stall := dlmanager.WithStallTimeout(50 * time.Millisecond)
	once := dlmanager.WithStrategy(dlmanager.Once{})
	require.ErrorIs(t, fetchInVain(t, base+"/drip?numbytes=2&delay=5s", stall, once), dlmanager.ErrStalled)
	require.ErrorIs(t, fetchInVain(t, base+"/drip?numbytes=2&duration=5s&delay=0s", stall, once), dlmanager.ErrStalled)
	requireStatus(t, 503, fetchInVain(t, base+"/drip?numbytes=2&duration=0s&delay=0s&code=503"))
}

func TestBinEncodesUnasked(t *testing.T) {
	base := newBin(t)
	for _, path := range []string{"/gzip", "/deflate"} {
		err := fetchInVain(t, base+path)
		require.ErrorContains(t, err, "encoded")
		assert.False(t, dlmanager.IsTemporary(err))
	}
}

func TestBinETag(t *testing.T) {
	_, r := read(t, newBin(t)+"/etag/v1")
	assert.Equal(t, `"v1"`, r.ETag)
	assert.True(t, r.Verified)
}

func TestBinChunks(t *testing.T) {
	base := newBin(t)
	got, _ := read(t, base+"/bytes/100000?seed=1")
	chunked := fetch(t, got, base+"/stream-bytes/100000?seed=1&chunk_size=999")
	assert.True(t, chunked.Verified)
	require.ErrorIs(t, fetchInVain(t, base+"/stream-bytes/100000?seed=1", dlmanager.WithMaxSize(99_999)), dlmanager.ErrTooLarge)
}

func TestBinNames(t *testing.T) {
	_, r := read(t, newBin(t)+`/response-headers?Content-Disposition=attachment%3B+filename=%22..%2Fother.bin%22`)
	assert.Equal(t, "other.bin", r.DispositionName, "it is told, and names no file")
}
