package transfer

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func content(t testing.TB, size int64) []byte {
	t.Helper()
	b, err := io.ReadAll(testorigin.Content(size))
	require.NoError(t, err)
	return b
}

func TestFetchStoresTheBody(t *testing.T) {
	o := testorigin.New(t)
	const size = 3<<20 + 17
	date := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	raw := o.ServeSize("/tool", size, testorigin.ETag(`"v1"`), testorigin.LastModified(date),
		testorigin.ContentType("application/x-tool"), testorigin.ContentDisposition(`attachment; filename="a b.bin"`))
	result, m, err := get(t, raw+"?sig=abcdefgh#part")
	require.NoError(t, err)
	require.True(t, bytes.Equal(content(t, size), m.data))
	require.Equal(t, Head{
		Total: size, Exact: true, Proven: true, FinalURL: raw + "?sig=xxxxx",
		ETag: `"v1"`, LastModified: "Mon, 06 May 2024 07:08:09 GMT", Date: result.Date,
		ContentType: "application/x-tool", DispositionName: "a b.bin",
	}, result.Head)
}

func TestFetchAsksForTheFileItself(t *testing.T) {
	o := testorigin.New(t)
	raw := o.Serve("/f", []byte("x"))
	_, _, err := get(t, raw, func(r *Request) { r.Header = http.Header{"Accept-Encoding": {"gzip"}, "X-A": {"1", "2"}, "x-a": {"3"}} })
	require.NoError(t, err)
	sent := o.Requests("/f")[0]
	require.Equal(t, http.MethodGet, sent.Method)
	require.Equal(t, []string{"identity"}, sent.Header.Values("Accept-Encoding"))
	require.Equal(t, "test/1", sent.Header.Get("User-Agent"))
	require.ElementsMatch(t, []string{"1", "2", "3"}, sent.Header.Values("X-A"))
	require.Empty(t, sent.Header.Values("Range"))
}

func TestFetchSendsNoBareSpaceInTheQuery(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/f", []byte("x"))
	for _, raw := range []string{
		o.URL("/f") + "?a=b c&d=ü%20",
		o.Serve("/redirect", nil, testorigin.Redirect("/f?a=b c&d=ü%20", 302)),
	} {
		_, m, err := get(t, raw)
		require.NoError(t, err)
		require.Equal(t, o.URL("/f")+"?a=xxxxx&d=xxxxx", m.head.FinalURL)
	}
	for _, sent := range o.Requests("/f") {
		require.Equal(t, "a=b%20c&d=%C3%BC%20", sent.RawQuery)
	}
	require.Len(t, o.Requests("/f"), 2)
}

func TestFetchTakesTheCallersUserAgent(t *testing.T) {
	o := testorigin.New(t)
	raw := o.Serve("/f", []byte("x"))
	_, _, err := get(t, raw, func(r *Request) { r.Header = http.Header{"User-Agent": {"mine"}} })
	require.NoError(t, err)
	require.Equal(t, "mine", o.Requests("/f")[0].Header.Get("User-Agent"))
}

func TestFetchRefusesAnEncodedBody(t *testing.T) {
	o := testorigin.New(t)
	cases := map[string]testorigin.Option{
		"gzip":        testorigin.Gzip(),
		"br":          testorigin.Header("Content-Encoding", "br"),
		"list":        testorigin.Header("Content-Encoding", "identity, gzip"),
		"unknown":     testorigin.Header("Content-Encoding", "rot13"),
		"upper":       testorigin.Header("Content-Encoding", "GZIP"),
		"aws-chunked": testorigin.Header("Content-Encoding", "aws-chunked"),
	}
	for name, option := range cases {
		_, m, err := get(t, o.Serve("/"+name, []byte("body"), option))
		failed := requireFailure(t, err, ErrEncoded)
		require.Equal(t, "check", failed.Op)
		require.Zero(t, m.starts)
	}
}

func TestFetchTakesIdentityForNoEncoding(t *testing.T) {
	o := testorigin.New(t)
	_, m, err := get(t, o.Serve("/f", []byte("body"), testorigin.Header("Content-Encoding", "Identity")))
	require.NoError(t, err)
	require.Equal(t, "body", string(m.data))
}

func TestFetchRefusesWhatATransportHasDecoded(t *testing.T) {
	rt := roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Uncompressed: true, ContentLength: -1, Body: http.NoBody}, nil
	})
	_, _, err := get(t, "http://h/f", withClient(&http.Client{Transport: rt}))
	require.ErrorIs(t, err, ErrEncoded)
}

func TestFetchEmptyBody(t *testing.T) {
	o := testorigin.New(t)
	result, m, err := get(t, o.Serve("/f", nil))
	require.NoError(t, err)
	require.Empty(t, m.data)
	require.True(t, result.Exact && result.Proven)
	require.Zero(t, result.Total)
}

func TestFetchLengths(t *testing.T) {
	o := testorigin.New(t)
	five := []byte("12345")
	cases := []struct {
		name   string
		option testorigin.Option
		reason error // nil: success, errAny: any
		want   string
		head   Head
	}{
		{name: "short", option: testorigin.ContentLength("9"), reason: ErrCut, want: "12345"},
		{name: "long", option: testorigin.ContentLength("3"), want: "123", head: Head{Total: 3, Exact: true, Proven: true}},
		{name: "broken", option: testorigin.ContentLength("five"), reason: errAny},
		{name: "negative", option: testorigin.ContentLength("-5"), reason: errAny},
		{name: "2^63", option: testorigin.ContentLength("9223372036854775808"), reason: errAny},
		{name: "2^63-1", option: testorigin.ContentLength("9223372036854775807"), reason: ErrCut, want: "12345"},
		{name: "cut", option: testorigin.CutAfter(2), reason: ErrCut, want: "12"},
		{name: "reset", option: testorigin.ResetAfter(2), reason: ErrCut},
		{name: "chunked", option: testorigin.NoLength(), want: "12345", head: Head{Total: -1, Proven: true}},
		{name: "chunked cut", option: testorigin.All(testorigin.NoLength(), testorigin.CutAfter(2)), reason: ErrCut, want: "12"},
		{name: "by close", option: testorigin.CloseDelimited(), want: "12345", head: Head{Total: -1}},
		{name: "dropped", option: testorigin.Drop(), reason: ErrCut},
		{name: "hint", option: testorigin.All(testorigin.NoLength(), testorigin.StoredLength(7)), want: "12345", head: Head{Total: 7, Proven: true}},
		{name: "bad hint", option: testorigin.All(testorigin.NoLength(), testorigin.StoredLength(-7)), want: "12345", head: Head{Total: -1, Proven: true}},
		{name: "hint beside a length", option: testorigin.StoredLength(7), want: "12345", head: Head{Total: 5, Exact: true, Proven: true}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			raw := o.Serve("/f", five, c.option)
			result, m, err := get(t, raw)
			if c.reason == nil {
				require.NoError(t, err)
				got := result.Head
				got.FinalURL, got.ContentType, got.Date = "", "", ""
				require.Equal(t, c.head, got)
				require.Equal(t, c.want, string(m.data))
				return
			}
			failed := requireFailure(t, err, c.reason)
			require.Equal(t, int64(len(m.data)), failed.Offset)
			require.Equal(t, raw, failed.URL)
			if c.want != "" {
				require.Equal(t, c.want, string(m.data), "what came is kept")
			}
		})
	}
}

// errAny stands for any failure of the transfer.
var errAny = errors.New("any failure")

func TestFetchReadsHTTP2(t *testing.T) {
	o := testorigin.NewHTTP2(t)
	client := o.Client()
	_, m, err := get(t, o.ServeSize("/f", 1<<20, testorigin.NoLength()), withClient(client))
	require.NoError(t, err)
	require.Len(t, m.data, 1<<20)
	require.True(t, m.head.Proven && !m.head.Exact)
	_, m, err = get(t, o.ServeSize("/cut", 1<<20, testorigin.NoLength(), testorigin.CutAfter(100)), withClient(client))
	failed := requireFailure(t, err, errAny)
	require.Equal(t, int64(len(m.data)), failed.Offset)
}

func TestFetchHoldsATransportToItsLength(t *testing.T) {
	answer := func(length int64, text string) *http.Client {
		return &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			// As in many a test: no Request, no Header.
			return &http.Response{StatusCode: 200, ContentLength: length, Body: io.NopCloser(strings.NewReader(text))}, nil
		})}
	}
	_, m, err := get(t, "http://h/f", withClient(answer(5, "12345")))
	require.NoError(t, err)
	require.Equal(t, "http://h/f", m.head.FinalURL)
	_, _, err = get(t, "http://h/f", withClient(answer(5, "123")))
	require.ErrorIs(t, err, ErrCut)
	_, m, err = get(t, "http://h/f", withClient(answer(5, "1234567")))
	require.ErrorIs(t, err, errTooLong)
	require.Empty(t, m.data)
}

func TestFetchSizes(t *testing.T) {
	o := testorigin.New(t)
	known := o.ServeSize("/known", 100)
	unknown := o.ServeSize("/unknown", 100, testorigin.NoLength())
	endless := o.Serve("/endless", nil, testorigin.Endless())
	lying := o.ServeSize("/lying", 100, testorigin.NoLength(), testorigin.StoredLength(5))
	cases := []struct {
		name     string
		raw      string
		min, max int64
		reason   error
		started  int
	}{
		{"exactly the largest", known, 0, 100, nil, 1},
		{"exactly the smallest", known, 100, 0, nil, 1},
		{"too large by header", known, 0, 99, ErrTooLarge, 0},
		{"too small by header", known, 101, 0, ErrTooSmall, 0},
		{"exactly the largest, counted", unknown, 0, 100, nil, 1},
		{"too large by count", unknown, 0, 99, ErrTooLarge, 1},
		{"too small by count", unknown, 101, 0, ErrTooSmall, 1},
		{"endless", endless, 0, 1 << 20, ErrTooLarge, 1},
		{"a hint is not believed", lying, 0, 99, ErrTooLarge, 1},
		{"a hint refuses nothing", lying, 50, 0, nil, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, m, err := get(t, c.raw, func(r *Request) { r.MinSize, r.MaxSize = c.min, c.max })
			require.Equal(t, c.started, m.starts)
			if c.reason == nil {
				require.NoError(t, err)
				return
			}
			requireFailure(t, err, c.reason)
			if c.max > 0 {
				require.LessOrEqual(t, int64(len(m.data)), c.max)
			}
		})
	}
}

func TestFetchReturnsTheSinksErrors(t *testing.T) {
	o := testorigin.New(t)
	raw := o.ServeSize("/f", 1<<20)
	full := errors.New("no space left")
	for name, m := range map[string]*memory{
		"start": {onStart: func(Head) error { return full }},
		"write": {onWrite: func([]byte, int64) error { return full }},
	} {
		_, err := Fetch(t.Context(), Request{URL: parse(t, raw), Client: newClient(t)}, m)
		require.Same(t, full, err, name)
		require.Empty(t, m.data)
	}
}

func TestFetchTakesAShortWriteForAFailure(t *testing.T) {
	o := testorigin.New(t)
	_, err := Fetch(t.Context(), Request{URL: parse(t, o.ServeSize("/f", 10)), Client: newClient(t)}, shortSink{})
	require.ErrorIs(t, err, io.ErrShortWrite)
}

type shortSink struct{}

func (shortSink) Start(Head, Source, int64) error        { return nil }
func (shortSink) Stored(*Result, int) error              { return nil }
func (shortSink) WriteAt(b []byte, _ int64) (int, error) { return len(b) - 1, nil }
