//go:build unix

package http1

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// wires are answers, byte for byte.
var wires = map[string]answer{
	"length":                      {text: hello, then: stay},
	"length, then shut":           {text: hello, then: shut},
	"length, HTTP/1.0":            {text: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", then: shut},
	"length, HTTP/1.0, kept":      {text: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", then: stay},
	"length, Connection: close":   {text: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", then: shut},
	"close, yet open":             {text: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", then: open},
	"close without body":          {text: "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", then: open},
	"HTTP/1.0, yet open":          {text: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", then: open},
	"101 unasked":                 {text: "HTTP/1.1 101 Switching Protocols\r\n\r\n", then: open},
	"status below 100, yet open":  {text: "HTTP/1.1 099 OK\r\nContent-Length: 5\r\n\r\nhello", then: open},
	"length, cut":                 {text: "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", then: shut},
	"two equal lengths":           {text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", then: stay},
	"two lengths":                 {text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", then: shut},
	"negative length":             {text: "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", then: shut},
	"signed length":               {text: "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", then: shut},
	"length of 2^63":              {text: "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nhello", then: shut},
	"length that is no number":    {text: "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", then: shut},
	"no body":                     {text: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", then: stay},
	"no body, Connection: close":  {text: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", then: shut},
	"204":                         {text: "HTTP/1.1 204 No Content\r\n\r\n", then: stay},
	"304 with a length":           {text: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", then: stay},
	"404":                         {text: "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello", then: stay},
	"redirect":                    {text: "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", then: stay},
	"until the end":               {text: "HTTP/1.1 200 OK\r\n\r\nhello", then: shut},
	"until the end, empty":        {text: "HTTP/1.1 200 OK\r\n\r\n", then: shut},
	"until the end, HTTP/1.0":     {text: "HTTP/1.0 200 OK\r\n\r\nhello", then: shut},
	"chunks":                      {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", then: stay},
	"chunks with a trailer":       {text: "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", then: stay},
	"chunks with a long trailer":  {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: " + strings.Repeat("1", 10<<10) + "\r\n\r\n", then: shut},
	"chunks with extensions":      {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n", then: stay},
	"chunks and a length":         {text: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", then: stay},
	"chunks, HTTP/1.0":            {text: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", then: shut},
	"chunks, cut":                 {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", then: shut},
	"chunks, cut before the last": {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", then: shut},
	"chunks, trailer cut":         {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-S", then: shut},
	"chunk of no size":            {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", then: shut},
	"chunk of a huge size":        {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n", then: shut},
	"chunk with a wrong end":      {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n", then: shut},
	"unknown coding":              {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", then: shut},
	"encoded":                     {text: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", then: stay},
	"100":                         {text: "HTTP/1.1 100 Continue\r\n\r\n" + hello, then: stay},
	"103 with fields":             {text: "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + hello, then: stay},
	"many 1xx":                    {text: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 100) + hello, then: stay},
	"endless 1xx":                 {text: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 2000), then: shut},
	"1xx, then the end":           {text: "HTTP/1.1 100 Continue\r\n\r\n", then: shut},
	"nothing":                     {text: "", then: shut},
	"nothing, reset":              {text: "", then: reset},
	"cut in the status":           {text: "HTTP/1.1 20", then: shut},
	"cut in the head":             {text: "HTTP/1.1 200 OK\r\nContent-Le", then: shut},
	"long head":                   {text: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 12<<10) + "\r\nContent-Length: 5\r\n\r\nhello", then: stay},
	"too long a head":             {text: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 20<<10) + "\r\n\r\n", then: shut},
	"too many fields":             {text: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: x\r\n", 5000) + "\r\n", then: shut},
	"a status without end":        {text: strings.Repeat("x", 20<<10), then: shut},
	"no HTTP":                     {text: "220 smtp.example ESMTP\r\n", then: shut},
	"HTTP/0.9":                    {text: "hello", then: shut},
	"HTTP/2.0":                    {text: "HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", then: stay},
	"HTTP/9":                      {text: "HTTP/9 200 OK\r\n\r\nhello", then: shut},
	"status of two digits":        {text: "HTTP/1.1 20 OK\r\n\r\nhello", then: shut},
	"status below 100":            {text: "HTTP/1.1 099 OK\r\nContent-Length: 5\r\n\r\nhello", then: shut},
	"status of no number":         {text: "HTTP/1.1 2x0 OK\r\n\r\nhello", then: shut},
	"no reason":                   {text: "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", then: stay},
	"newlines alone":              {text: "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", then: stay},
	"folded field":                {text: "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nhello", then: stay},
	"field without colon":         {text: "HTTP/1.1 200 OK\r\nContent-Length 5\r\n\r\nhello", then: shut},
	"field with a space":          {text: "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello", then: shut},
	"field with a NUL":            {text: "HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 5\r\n\r\nhello", then: shut},
	"large body":                  {text: "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("hello ", 50000), then: stay},
}

// Whatever a server sends, both transports return the same, and use a connection
// again in the same cases.
func TestAnswersAreThoseOfNetHTTP(t *testing.T) {
	for name, a := range wires {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, always(a.text, a.then))
			seen := map[string][]outcome{}
			conns := map[string]int64{}
			inBoth(t, func(t *testing.T, tr closer, _ *http.Transport) {
				before := s.conns.Load()
				for range 3 {
					seen[t.Name()] = append(seen[t.Name()], exchange(tr, newGet(t, t.Context(), s.url)))
				}
				conns[t.Name()] = s.conns.Load() - before
			})
			require.Equal(t, seen[t.Name()+"/net/http"], seen[t.Name()+"/http1"])
			require.Equal(t, conns[t.Name()+"/net/http"], conns[t.Name()+"/http1"])
			if a.then == stay {
				require.EqualValues(t, 1, conns[t.Name()+"/http1"], "not used again")
			}
		})
	}
}

// What an honest server answers is the same, too, and so is what it is asked.
func TestAnOriginSeesAndGivesTheSame(t *testing.T) {
	o := testorigin.New(t)
	for name, opts := range map[string][]testorigin.Option{
		"body":         nil,
		"chunked":      {testorigin.NoLength()},
		"to end":       {testorigin.CloseDelimited()},
		"cut":          {testorigin.CutAfter(1000)},
		"cut, chunked": {testorigin.NoLength(), testorigin.CutAfter(1000)},
		"dropped":      {testorigin.Drop()},
		"404":          {testorigin.Status(404, "not there")},
		"304":          {testorigin.Status(304, "")},
	} {
		t.Run(name, func(t *testing.T) {
			path := "/" + strings.ReplaceAll(name, " ", "-")
			url := o.ServeSize(path, 70000, opts...) + "?a=b%20c"
			var seen []outcome
			inBoth(t, func(t *testing.T, tr closer, _ *http.Transport) {
				req := newGet(t, t.Context(), url)
				req.Host = "elsewhere.example"
				req.Header = http.Header{
					"User-Agent": {"test/1"}, "Range": {"bytes=0-"}, "X-Two": {"a", "b"}, "Accept-Encoding": {"identity"},
				}
				got := exchange(tr, req)
				got.Header.Del("Date")
				seen = append(seen, got)
			})
			require.Equal(t, seen[0], seen[1])
			asked := o.Requests(path)
			require.Len(t, asked, 2)
			require.Equal(t, asked[0], asked[1])
		})
	}
}

// What is written is the same to the byte.
func TestRequestsAreThoseOfNetHTTP(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"plain":         func(*http.Request) {},
		"ordinary":      func(r *http.Request) { r.Header = ordinaryHeader("test/1", "identity") },
		"nothing said":  func(r *http.Request) { r.Header = ordinaryHeader("", "") },
		"agent injects": func(r *http.Request) { r.Header = ordinaryHeader("a\r\nY: b", "identity") },
		"coding folded": func(r *http.Request) { r.Header = ordinaryHeader("test/1", " a\tb ") },
		"coding broken": func(r *http.Request) { r.Header = ordinaryHeader("test/1", "a\r\nY: b") },
		"bad trailer":   func(r *http.Request) { r.Trailer = http.Header{"X y": nil} },
		"host":          func(r *http.Request) { r.Host = "other.example:81" },
		"bad host":      func(r *http.Request) { r.Host = "other.example\r\nX: y" },
		"no user agent": func(r *http.Request) { r.Header["User-Agent"] = []string{""} },
		"userinfo":      func(r *http.Request) { r.SetBasicAuth("me", "secret") },
		"opaque":        func(r *http.Request) { r.URL.Opaque = "//other.example/x" },
		"query":         func(r *http.Request) { r.URL.RawQuery = "a=b&c" },
		"value folded":  func(r *http.Request) { r.Header.Set("X", " a\tb ") },
		"value injects": func(r *http.Request) { r.Header.Set("X", "a\r\nY: b") },
		"name injects":  func(r *http.Request) { r.Header["X: a\r\nY"] = []string{"b"} },
		"path injects":  func(r *http.Request) { r.URL.Opaque = "/x HTTP/1.1\r\nY: b" },
		"large":         func(r *http.Request) { r.Header.Set("X", strings.Repeat("x", maxRequest)) },
	} {
		t.Run(name, func(t *testing.T) {
			var sent, failed []string
			inBoth(t, func(t *testing.T, tr closer, base *http.Transport) {
				wire := recordDials(t, base)
				req := newGet(t, t.Context(), "http://h.example/a%20b")
				change(req)
				failed = append(failed, exchange(tr, req).Err)
				sent = append(sent, wire())
			})
			require.Equal(t, sent[0], sent[1])
			require.Equal(t, failed[0], failed[1])
		})
	}
}

// ordinaryHeader has the fields that every download sends.
func ordinaryHeader(agent, coding string) http.Header {
	return http.Header{"User-Agent": {agent}, "Accept-Encoding": {coding}}
}

func TestWhatIsNotOursIsLeftToNetHTTP(t *testing.T) {
	for name, change := range map[string]func(*http.Request, *http.Transport){
		"method":     func(r *http.Request, _ *http.Transport) { r.Method = http.MethodHead },
		"body":       func(r *http.Request, _ *http.Transport) { r.Body = io.NopCloser(strings.NewReader("x")) },
		"close":      func(r *http.Request, _ *http.Transport) { r.Close = true },
		"connection": func(r *http.Request, _ *http.Transport) { r.Header.Set("Connection", "close") },
		"upgrade":    func(r *http.Request, _ *http.Transport) { r.Header.Set("Upgrade", "x") },
		"cancel": func(r *http.Request, _ *http.Transport) {
			r.Cancel = make(chan struct{}) //lint:ignore SA1019 http.Client sets it for a Timeout
		},
		"no host": func(r *http.Request, _ *http.Transport) { r.URL.Host = "" },
		"unicode": func(r *http.Request, _ *http.Transport) { r.URL.Host = "häuser.example" },
		"large":   func(r *http.Request, _ *http.Transport) { r.Header.Set("X", strings.Repeat("x", maxRequest)) },
		"proxy": func(_ *http.Request, base *http.Transport) {
			base.Proxy = http.ProxyURL(newGet(t, t.Context(), "http://proxy.example").URL)
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := New(newBase())
			req := newGet(t, t.Context(), "http://h.example/")
			change(req, tr.base)
			_, err := (*direct)(tr).RoundTrip(req)
			require.ErrorIs(t, err, http.ErrSkipAltProtocol)
		})
	}
}
