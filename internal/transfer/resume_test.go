package transfer

import (
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestValidator(t *testing.T) {
	const date, minuteLater = "Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 2026 00:01:00 GMT"
	for name, c := range map[string]struct {
		head Head
		want string
	}{
		"strong tag":            {Head{ETag: `"v1"`}, `"v1"`},
		"empty tag":             {Head{ETag: `""`}, `""`},
		"weak tag":              {Head{ETag: `W/"v1"`}, ""},
		"unquoted tag":          {Head{ETag: `v1`}, ""},
		"half a tag":            {Head{ETag: `"`}, ""},
		"two tags":              {Head{ETag: `"a", "b"`}, ""},
		"strong date":           {Head{LastModified: date, Date: minuteLater}, date},
		"date of this minute":   {Head{LastModified: minuteLater, Date: minuteLater}, ""},
		"date without a clock":  {Head{LastModified: date}, ""},
		"date in the future":    {Head{LastModified: minuteLater, Date: date}, ""},
		"no date":               {Head{LastModified: "yesterday", Date: date}, ""},
		"weak tag, strong date": {Head{ETag: `W/"v1"`, LastModified: date, Date: minuteLater}, ""},
		"tag before date":       {Head{ETag: `"v1"`, LastModified: date, Date: minuteLater}, `"v1"`},
		"nothing":               {Head{}, ""},
	} {
		assert.Equal(t, c.want, c.head.validator(), name)
	}
}

func TestContentRange(t *testing.T) {
	for field, want := range map[string]contentRange{
		"bytes 0-9/10": {0, 9, 10}, "bytes 5-9/10": {5, 9, 10}, "bytes 5-5/*": {5, 5, -1}, "Bytes 1-2/3": {1, 2, 3},
		" bytes 1-2/3 ": {1, 2, 3}, "bytes 0-9223372036854775806/9223372036854775807": {0, 1<<63 - 2, 1<<63 - 1},
	} {
		got, ok := parseContentRange(field)
		assert.True(t, ok, field)
		assert.Equal(t, want, got, field)
	}
	for _, field := range []string{
		"", "bytes", "bytes ", "bytes 0-9", "bytes */10", "bytes 5-4/10", "bytes 5-10/10", "bytes -5/10", "bytes 5-/10", "bytes +1-2/3",
		"bytes 0-9/+10", "bytes 0-9/-1", "items 0-9/10", "bytes=0-9/10", "bytes 0-9/9223372036854775808", "bytes 0-9/10/11", "bytes a-b/c",
	} {
		_, ok := parseContentRange(field)
		assert.False(t, ok, field)
	}
	total, ok := parseUnsatisfied("bytes */10")
	assert.True(t, ok)
	assert.EqualValues(t, 10, total)
	for _, field := range []string{"", "bytes */*", "bytes 0-1/10", "items */10", "bytes */-1"} {
		_, ok := parseUnsatisfied(field)
		assert.False(t, ok, field)
	}
}

func TestJudge(t *testing.T) {
	tagged := Result{Head: Head{Total: 10, Exact: true, ETag: `"v1"`}, N: 4}
	dated := Result{Head: Head{Total: 10, Exact: true, LastModified: "d1"}, N: 4}
	unknown := Result{Head: Head{Total: -1, ETag: `"v1"`}, N: 4}
	all := Result{Head: Head{Total: 4, Exact: true, ETag: `"v1"`}, N: 4}
	head := func(kv ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(kv); i += 2 {
			h.Set(kv[i], kv[i+1])
		}
		return h
	}
	const cr, tag, mod = "Content-Range", "ETag", "Last-Modified"
	for name, c := range map[string]struct {
		have  Result
		reply reply
		want  verdict
		total int64
	}{
		"the rest":                {tagged, reply{206, head(cr, "bytes 4-9/10", tag, `"v1"`), 6, false, false, false}, rest, 10},
		"the rest, chunked":       {tagged, reply{206, head(cr, "bytes 4-9/10", tag, `"v1"`), -1, false, false, false}, startOver, -1},
		"less than asked":         {tagged, reply{206, head(cr, "bytes 4-5/10", tag, `"v1"`), 2, false, false, false}, rest, 10},
		"wrong offset":            {tagged, reply{206, head(cr, "bytes 3-9/10", tag, `"v1"`), 7, false, false, false}, startOver, -1},
		"from the beginning":      {tagged, reply{206, head(cr, "bytes 0-9/10", tag, `"v1"`), 10, false, false, false}, startOver, -1},
		"other total":             {tagged, reply{206, head(cr, "bytes 4-10/11", tag, `"v1"`), 7, false, false, false}, startOver, -1},
		"no total":                {tagged, reply{206, head(cr, "bytes 4-9/*", tag, `"v1"`), 6, false, false, false}, startOver, -1},
		"other tag":               {tagged, reply{206, head(cr, "bytes 4-9/10", tag, `"v2"`), 6, false, false, false}, startOver, -1},
		"tag gone":                {tagged, reply{206, head(cr, "bytes 4-9/10"), 6, false, false, false}, startOver, -1},
		"tag weak now":            {tagged, reply{206, head(cr, "bytes 4-9/10", tag, `W/"v1"`), 6, false, false, false}, startOver, -1},
		"no Content-Range":        {tagged, reply{206, head(tag, `"v1"`), 6, false, false, false}, startOver, -1},
		"broken Content-Range":    {tagged, reply{206, head(cr, "bytes 4..9", tag, `"v1"`), 6, false, false, false}, startOver, -1},
		"length against range":    {tagged, reply{206, head(cr, "bytes 4-9/10", tag, `"v1"`), 5, false, false, false}, startOver, -1},
		"multipart":               {tagged, reply{206, head(cr, "bytes 4-9/10", tag, `"v1"`, "Content-Type", "multipart/byteranges; boundary=x"), 6, false, false, false}, startOver, -1},
		"another resource":        {tagged, reply{206, head(cr, "bytes 4-9/10", tag, `"v1"`), 6, false, true, false}, startOver, -1},
		"another resource's all":  {tagged, reply{200, head(tag, `"v1"`), 10, false, true, false}, whole, -1},
		"no total, none known":    {unknown, reply{206, head(cr, "bytes 4-9/*", tag, `"v1"`), 6, false, false, false}, startOver, -1},
		"same date":               {dated, reply{206, head(cr, "bytes 4-9/10", mod, "d1"), 6, false, false, false}, rest, 10},
		"other date":              {dated, reply{206, head(cr, "bytes 4-9/10", mod, "d2"), 6, false, false, false}, startOver, -1},
		"date gone":               {dated, reply{206, head(cr, "bytes 4-9/10"), 6, false, false, false}, startOver, -1},
		"a tag where none was":    {dated, reply{206, head(cr, "bytes 4-9/10", mod, "d1", tag, `"v1"`), 6, false, false, false}, startOver, -1},
		"total becomes known":     {unknown, reply{206, head(cr, "bytes 4-9/10", tag, `"v1"`), 6, false, false, false}, rest, 10},
		"new content":             {tagged, reply{200, head(tag, `"v2"`), 10, false, false, false}, whole, -1},
		"no ranges":               {tagged, reply{200, head(tag, `"v1"`, "Accept-Ranges", "none"), 10, false, false, false}, whole, -1},
		"If-Range not understood": {tagged, reply{200, head(tag, `"v1"`), 10, false, false, false}, askPlain, -1},
		"nor Range":               {tagged, reply{200, head(tag, `"v1"`), 10, true, false, false}, whole, -1},
		"the last byte again":     {all, reply{206, head(cr, "bytes 3-3/4", tag, `"v1"`), 1, false, false, false}, rest, 4},
		"of another version":      {all, reply{206, head(cr, "bytes 3-3/4", tag, `"v2"`), 1, false, false, false}, startOver, -1},
		"of a longer one":         {all, reply{206, head(cr, "bytes 3-4/5", tag, `"v1"`), 2, false, false, false}, startOver, -1},
		"all there":               {all, reply{416, head(cr, "bytes */4", tag, `"v1"`), 0, false, false, false}, complete, 4},
		"all there, says nobody":  {all, reply{416, head(cr, "bytes */4"), 0, false, false, false}, startOver, -1},
		"shorter now":             {tagged, reply{416, head(cr, "bytes */3", tag, `"v1"`), 0, false, false, false}, startOver, -1},
		"416 for no reason":       {tagged, reply{416, head(), 0, false, false, false}, startOver, -1},
		"not there":               {tagged, reply{404, head(), 0, false, false, false}, refused, -1},
		"no content":              {tagged, reply{204, head(tag, `"v1"`), 0, false, false, false}, refused, -1},
	} {
		got, total := c.have.judge(c.reply)
		assert.Equal(t, c.want, got, name)
		assert.Equal(t, c.total, total, name)
	}
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 0-9/10")
	f.Add("bytes 0-9/*")
	f.Fuzz(func(t *testing.T, field string) {
		r, ok := parseContentRange(field)
		if ok && (r.first < 0 || r.last < r.first || (r.total >= 0 && r.last >= r.total)) {
			t.Fatalf("%q: %v", field, r)
		}
	})
}

// FuzzJudge asserts that no answer is taken for the rest unless it begins where
// we are and is of the same content.
func FuzzJudge(f *testing.F) {
	f.Add(206, "bytes 4-9/10", `"v1"`, "d1", int64(6), false)
	f.Fuzz(func(t *testing.T, status int, span, tag, modified string, length int64, plain bool) {
		h := http.Header{"Content-Range": {span}, "Etag": {tag}, "Last-Modified": {modified}}
		for _, have := range []Result{
			{Head: Head{Total: 10, Exact: true, ETag: `"v1"`}, N: 4},
			{Head: Head{Total: 10, Exact: true, LastModified: "d1"}, N: 4},
		} {
			v, total := have.judge(reply{status, h, length, plain, false, false})
			if v != rest {
				continue
			}
			r, _ := parseContentRange(span)
			if status != 206 || r.first != 4 || total != 10 || (have.ETag != "" && tag != have.ETag) || (have.ETag == "" && modified != "d1") {
				t.Fatalf("%d %q %q %q was taken for the rest", status, span, tag, modified)
			}
		}
	})
}

// steps answers the n-th request with the n-th handler, and notes the requests.
type steps struct {
	handlers []http.HandlerFunc
	asked    []*http.Request
}

func (s *steps) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := len(s.asked)
	s.asked = append(s.asked, r)
	s.handlers[min(n, len(s.handlers)-1)](w, r)
}

// send returns a handler with this status, body and header.
func send(status int, body string, kv ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(kv); i += 2 {
			w.Header().Set(kv[i], kv[i+1])
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// goOn fetches after "0123" of "0123456789" has come.
func goOn(t *testing.T, tag string, handlers ...http.HandlerFunc) (Result, string, []*http.Request, error) {
	t.Helper()
	s := &steps{handlers: handlers}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	have := &Result{
		From: sourceOf(parse(t, server.URL)),
		Head: Head{Total: 10, Exact: true, ETag: tag}, N: 4,
		CRC32C: crc32.Checksum([]byte("0123"), castagnoli),
	}
	m := &memory{data: []byte("0123")}
	result, err := Fetch(t.Context(), Request{URL: parse(t, server.URL), Client: newClient(t), After: have}, m)
	require.Equal(t, int64(len(m.data)), result.N)
	require.Equal(t, crc32.Checksum(m.data, castagnoli), result.CRC32C)
	return result, string(m.data), s.asked, err
}

func TestTheRestIsAskedForAndAppended(t *testing.T) {
	_, got, asked, err := goOn(t, `"v1"`, send(206, "456789", "Content-Range", "bytes 4-9/10", "ETag", `"v1"`))
	require.NoError(t, err)
	assert.Equal(t, "0123456789", got)
	require.Len(t, asked, 1)
	assert.Equal(t, "bytes=4-", asked[0].Header.Get("Range"))
	assert.Equal(t, `"v1"`, asked[0].Header.Get("If-Range"))
}

func TestWithoutAStrongValidatorTheFileBeginsAnew(t *testing.T) {
	for _, tag := range []string{"", `W/"v1"`, "v1"} {
		_, got, asked, err := goOn(t, tag, send(200, "abcdefghij", "ETag", tag))
		require.NoError(t, err)
		assert.Equal(t, "abcdefghij", got)
		assert.Empty(t, asked[0].Header.Get("Range"))
		assert.Empty(t, asked[0].Header.Get("If-Range"))
	}
}

func TestNewContentNeverBecomesASplice(t *testing.T) {
	fresh := send(200, "abcdefghij", "ETag", `"v2"`)
	for name, first := range map[string]http.HandlerFunc{
		"200":             fresh,
		"206 of another":  send(206, "efghij", "Content-Range", "bytes 4-9/10", "ETag", `"v2"`),
		"206 without tag": send(206, "efghij", "Content-Range", "bytes 4-9/10"),
		"wrong offset":    send(206, "defghij", "Content-Range", "bytes 3-9/10", "ETag", `"v1"`),
		"longer":          send(206, "efghijk", "Content-Range", "bytes 4-10/11", "ETag", `"v1"`),
		"no range":        send(206, "efghij", "ETag", `"v1"`),
		"multipart":       send(206, "--x--", "Content-Type", "multipart/byteranges; boundary=x", "ETag", `"v1"`),
		"416":             send(416, "", "Content-Range", "bytes */3"),
	} {
		t.Run(name, func(t *testing.T) {
			_, got, asked, err := goOn(t, `"v1"`, first, fresh)
			require.NoError(t, err)
			assert.Equal(t, "abcdefghij", got)
			assert.LessOrEqual(t, len(asked), 2)
			if len(asked) == 2 {
				assert.Empty(t, asked[1].Header.Get("Range"))
			}
		})
	}
}

func TestAServerThatKnowsNoIfRangeIsAskedPlainly(t *testing.T) {
	again := send(200, "0123456789", "ETag", `"v1"`)
	_, got, asked, err := goOn(t, `"v1"`, again, send(206, "456789", "Content-Range", "bytes 4-9/10", "ETag", `"v1"`))
	require.NoError(t, err)
	assert.Equal(t, "0123456789", got)
	require.Len(t, asked, 2)
	assert.Equal(t, "bytes=4-", asked[1].Header.Get("Range"))
	assert.Empty(t, asked[1].Header.Get("If-Range"))

	_, got, asked, err = goOn(t, `"v1"`, again, again)
	require.NoError(t, err)
	assert.Equal(t, "0123456789", got)
	assert.Len(t, asked, 2, "once")
}

func TestAPartThatIsShorterThanAskedIsACut(t *testing.T) {
	result, got, _, err := goOn(t, `"v1"`, send(206, "45", "Content-Range", "bytes 4-5/10", "ETag", `"v1"`))
	require.ErrorIs(t, err, ErrCut)
	assert.Equal(t, "012345", got)
	assert.EqualValues(t, 6, result.N)
}

func TestWhatFailsLeavesWhatWasThere(t *testing.T) {
	for _, status := range []int{403, 404, 503} {
		result, got, _, err := goOn(t, `"v1"`, send(status, "no"))
		require.Error(t, err)
		assert.Equal(t, "0123", got)
		assert.EqualValues(t, 4, result.N)
		assert.Equal(t, `"v1"`, result.ETag, fmt.Sprint(status))
	}
}

func TestTheRestIsOfTheSameResource(t *testing.T) {
	have := Result{Head: Head{ETag: `"v1"`}, From: sourceOf(parse(t, "https://h/a?sig=1"))}
	assert.True(t, have.isFrom(parse(t, "https://H/a?sig=2")), "a signature may change")
	for _, other := range []string{"https://h/b?sig=1", "https://g/a?sig=1", "http://h/a?sig=1", "https://h:8443/a?sig=1"} {
		assert.False(t, have.isFrom(parse(t, other)), other)
	}
	have.ETag = ""
	assert.False(t, have.isFrom(parse(t, "https://h/a?sig=2")), "a date is too weak for that")
	assert.True(t, have.isFrom(parse(t, "https://h/a?sig=1")))
	assert.False(t, Result{}.isFrom(parse(t, "https://h/a")))
}

func TestWhatIsAllThereIsProvenByItsLastByte(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Range"))
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123"))
	}))
	defer server.Close()
	have := &Result{Head: Head{Total: 4, Exact: true, ETag: `"v1"`}, N: 4, CRC32C: 7, From: sourceOf(parse(t, server.URL))}
	sink := &memory{data: []byte("0123")}
	result, err := Fetch(t.Context(), Request{URL: parse(t, server.URL), Client: newClient(t), After: have}, sink)
	require.NoError(t, err)
	assert.Equal(t, []string{"bytes=3-"}, asked)
	assert.EqualValues(t, 4, result.N)
	assert.EqualValues(t, 7, result.CRC32C, "of what is there, not of that byte")
	assert.Equal(t, "0123", string(sink.data))
}

func TestWhatIsCompleteIsCheckedAndSaysItsSize(t *testing.T) {
	server := httptest.NewServer(send(416, "", "Content-Range", "bytes */4", "ETag", `"v1"`))
	defer server.Close()
	have := &Result{Head: Head{Total: -1, ETag: `"v1"`}, N: 4, From: sourceOf(parse(t, server.URL))}
	req := Request{URL: parse(t, server.URL), Client: newClient(t), After: have}
	result, err := Fetch(t.Context(), req, &memory{data: []byte("0123")})
	require.NoError(t, err)
	assert.EqualValues(t, 4, result.Total)
	assert.True(t, result.Proven)
	req.MinSize = 5
	_, err = Fetch(t.Context(), req, &memory{data: []byte("0123")})
	require.ErrorIs(t, err, ErrTooSmall)
}
