package testorigin_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestContentIsOneSequence(t *testing.T) {
	want, err := io.ReadAll(testorigin.Content(10_007))
	require.NoError(t, err)
	require.Len(t, want, 10_007)
	require.NoError(t, iotest.TestReader(testorigin.Content(10_007), want))

	words := map[string]bool{}
	for i := 0; i+8 <= len(want); i += 8 {
		words[string(want[i:i+8])] = true
	}
	assert.Len(t, words, len(want)/8)
}

func TestServeSize(t *testing.T) {
	const size = 300_001
	o := testorigin.New(t)
	u := o.ServeSize("/f", size)
	want, err := io.ReadAll(testorigin.Content(size))
	require.NoError(t, err)
	assert.True(t, string(want) == get(t, o, u).body)
	assert.True(t, string(want[7:99]) == get(t, o, u, "Range", "bytes=7-98").body)

	huge := ask(t, o, http.MethodHead, o.ServeSize("/huge", int64(math.MaxInt64)))
	assert.EqualValues(t, int64(math.MaxInt64), huge.ContentLength)
}

func TestSequence(t *testing.T) {
	o := testorigin.New(t)
	u := o.Serve("/f", []byte("one"), testorigin.Sequence(
		testorigin.Status(503, "wait"),
		testorigin.OK(),
		testorigin.All(testorigin.Body([]byte("two")), testorigin.ETag(`"2"`)),
		testorigin.Size(4),
	))
	assert.Equal(t, 503, get(t, o, u).StatusCode)
	assert.Equal(t, "one", get(t, o, u).body)
	a := get(t, o, u)
	assert.Equal(t, "two", a.body)
	assert.Equal(t, `"2"`, a.Header.Get("ETag"))
	for range 2 {
		assert.Len(t, get(t, o, u).body, 4)
	}
	assert.Equal(t, "b", get(t, o, o.Serve("/none", []byte("b"), testorigin.Sequence())).body)
}

func TestStatus(t *testing.T) {
	o := testorigin.New(t)
	a := get(t, o, o.Serve("/f", []byte("content"), testorigin.Status(410, "gone for good"), testorigin.RetryAfter("120")))
	require.NoError(t, a.err)
	assert.Equal(t, 410, a.StatusCode)
	assert.Equal(t, "gone for good", a.body)
	assert.Equal(t, "120", a.Header.Get("Retry-After"))
	a = ask(t, o, http.MethodHead, o.URL("/f"))
	assert.Equal(t, 410, a.StatusCode)
	assert.Empty(t, a.body)
}

func TestEndless(t *testing.T) {
	o := testorigin.New(t)
	want, err := io.ReadAll(testorigin.Content(200_000))
	require.NoError(t, err)
	for path, opts := range map[string][]testorigin.Option{
		"/content": {testorigin.Endless()},
		"/error":   {testorigin.Status(500, ""), testorigin.Endless()},
		"/raw":     {testorigin.Endless(), testorigin.CloseDelimited()},
	} {
		response, err := o.Client().Do(request(t, http.MethodGet, o.Serve(path, nil, opts...)))
		require.NoError(t, err)
		assert.EqualValues(t, -1, response.ContentLength)
		assert.True(t, string(want) == readN(t, response.Body, len(want)))
		require.NoError(t, response.Body.Close()) // the handler sees this and ends, or goleak would tell
		if path == "/error" {
			assert.Equal(t, 500, response.StatusCode)
		}
	}
}

func TestRedirect(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/to", []byte("there"))
	for _, code := range []int{301, 302, 303, 307, 308} {
		u := o.Serve("/from", nil, testorigin.Redirect("/to", code))
		a := get(t, o, u)
		assert.Equal(t, code, a.StatusCode)
		assert.Equal(t, "/to", a.Header.Get("Location"))
	}
	response, err := o.Client().Get(o.URL("/from"))
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, "there", readN(t, response.Body, 5))
}

func TestRedirectLoop(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/f", nil, testorigin.RedirectLoop(302))
	_, err := o.Client().Get(o.URL("/f?q=1"))
	require.ErrorContains(t, err, "stopped after 10 redirects")
	assert.Equal(t, 10, o.Count("/f"))
	assert.Equal(t, "q=1", o.Requests("/f")[9].RawQuery)
}

func TestHeadersAreSentAsTheyAre(t *testing.T) {
	o := testorigin.New(t)
	a := get(t, o, o.Serve("/f", []byte("x"),
		testorigin.ETag("unquoted"),
		testorigin.ContentType("text/x-test"),
		testorigin.ContentDisposition(`attachment; filename="../n"`),
		testorigin.Header("X-Any", "any"),
	))
	assert.Equal(t, "unquoted", a.Header.Get("ETag"))
	assert.Equal(t, "text/x-test", a.Header.Get("Content-Type"))
	assert.Equal(t, `attachment; filename="../n"`, a.Header.Get("Content-Disposition"))
	assert.Equal(t, "any", a.Header.Get("X-Any"))
	a = get(t, o, o.Serve("/f", []byte("x")))
	assert.Equal(t, "application/octet-stream", a.Header.Get("Content-Type"))
	assert.Empty(t, a.Header.Get("ETag"))
}

func TestETagKinds(t *testing.T) {
	for tag, status := range map[string]int{`"strong"`: 206, `W/"weak"`: 200, `unquoted`: 200} {
		o := testorigin.New(t)
		u := o.Serve("/f", []byte("0123"), testorigin.ETag(tag))
		assert.Equal(t, status, get(t, o, u, "Range", "bytes=2-", "If-Range", tag).StatusCode, tag)
	}
}

func TestLastModified(t *testing.T) {
	o := testorigin.New(t)
	date := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	text := "Thu, 02 Jan 2020 03:04:05 GMT"
	u := o.Serve("/f", []byte("0123"), testorigin.LastModified(date))
	assert.Equal(t, text, get(t, o, u).Header.Get("Last-Modified"))
	assert.Equal(t, 304, get(t, o, u, "If-Modified-Since", text).StatusCode)
	assert.Equal(t, 206, get(t, o, u, "Range", "bytes=2-", "If-Range", text).StatusCode)
}

func TestGzip(t *testing.T) {
	o := testorigin.New(t)
	a := get(t, o, o.Serve("/f", []byte("plain text"), testorigin.Gzip()), "Accept-Encoding", "identity")
	require.NoError(t, a.err)
	assert.Equal(t, "gzip", a.Header.Get("Content-Encoding"))
	zip, err := gzip.NewReader(bytes.NewReader([]byte(a.body)))
	require.NoError(t, err)
	assert.Equal(t, "plain text", readN(t, zip, 10))
}

func TestNoRanges(t *testing.T) {
	o := testorigin.New(t)
	u := o.Serve("/f", []byte("0123"), testorigin.NoRanges())
	a := get(t, o, u, "Range", "bytes=2-")
	assert.Equal(t, 200, a.StatusCode)
	assert.Equal(t, "0123", a.body)
	assert.NotContains(t, a.Header, "Accept-Ranges")
	a = get(t, o, o.Serve("/f", []byte("0123"), testorigin.NoRanges(), testorigin.Header("Accept-Ranges", "bytes")), "Range", "bytes=2-")
	assert.Equal(t, 200, a.StatusCode)
	assert.Equal(t, "bytes", a.Header.Get("Accept-Ranges"))
}

func TestNoLength(t *testing.T) {
	o := testorigin.New(t)
	for path, opts := range map[string][]testorigin.Option{
		"/polite": {testorigin.NoLength(), testorigin.StoredLength(4)},
		"/raw":    {testorigin.NoLength(), testorigin.StoredLength(4), testorigin.ResetAfter(1000)},
	} {
		a := get(t, o, o.Serve(path, []byte("0123"), opts...))
		require.NoError(t, a.err)
		assert.Equal(t, []string{"chunked"}, a.TransferEncoding)
		assert.EqualValues(t, -1, a.ContentLength)
		assert.Equal(t, "4", a.Header.Get("x-goog-stored-content-length"))
		assert.Equal(t, "0123", a.body)
	}
}

func TestCloseDelimited(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/f", []byte("0123"), testorigin.CloseDelimited())
	_, r := dial(t, o, "/f")
	head := readHead(t, r)
	assert.True(t, strings.HasPrefix(head, "HTTP/1.0 200 OK\r\n"), head)
	assert.NotContains(t, head, "Content-Length")
	assert.NotContains(t, head, "chunked")
	body, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, "0123", string(body))
	assert.Equal(t, "0123", get(t, o, o.URL("/f")).body)
	assert.Empty(t, ask(t, o, http.MethodHead, o.URL("/f")).body)
}

func TestContentLength(t *testing.T) {
	o := testorigin.New(t)
	for _, value := range []string{"2", "9", "9223372036854775808", "-1", "many"} {
		o.Serve("/f", []byte("0123"), testorigin.ContentLength(value))
		_, r := dial(t, o, "/f")
		assert.Contains(t, readHead(t, r), "\r\nContent-Length: "+value+"\r\n")
		body, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Equal(t, "0123", string(body), value)
	}
	o.Serve("/f", []byte("0123"), testorigin.ContentLength("9"))
	assert.ErrorIs(t, get(t, o, o.URL("/f")).err, io.ErrUnexpectedEOF)
	o.Serve("/f", []byte("0123"), testorigin.ContentLength("9223372036854775808"))
	_, err := o.Client().Get(o.URL("/f"))
	assert.Error(t, err)
}

func TestWhenConditional(t *testing.T) {
	o := testorigin.New(t)
	u := o.Serve("/f", []byte("content"), testorigin.WhenConditional(testorigin.Status(304, "")))
	assert.Equal(t, 200, get(t, o, u).StatusCode)
	for _, field := range []string{"If-None-Match", "If-Modified-Since"} {
		r := request(t, http.MethodGet, u)
		r.Header.Set(field, "something")
		response, err := o.Client().Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, 304, response.StatusCode)
	}
}
