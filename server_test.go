package dlmanager

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// The files server*_test.go hold what servers do that they should not, one test
// for each: bodies and their lengths here, ranges and versions, limits, silence
// and redirects in the others.

// small is the size of a file, in bytes, and half is where it is cut.
const small, half = 1000, 400

// shortly tries again at once what is temporary, n requests in all.
type shortly int

func (n shortly) Next(a Attempt) (time.Duration, bool) {
	return 0, IsTemporary(a.Err) && a.Number < int(n)
}

// fetchWhole downloads with up to five requests, without waits, and asserts that
// exactly want is there in the end, and nothing else.
func fetchWhole(t testing.TB, want, url string, opts ...DownloadOption) Result {
	t.Helper()
	m := newManager(t, WithStrategy(shortly(5)))
	return waitWhole(t, want, m, m.Download(url, "file", opts...))
}

// waitWhole waits for a download that fetchWhole asserts the same of.
func waitWhole(t testing.TB, want string, m *DownloadManager, d *Download) Result {
	t.Helper()
	require.NoError(t, d.Wait())
	require.True(t, want == readFile(t, d.Dest()), "not what the server has")
	requireNothingUnfinished(t, m.dir.Root())
	assert.EqualValues(t, len(want), d.Result().Bytes)
	assert.Equal(t, crcOf(t, d.Dest()), d.Result().CRC32C)
	return d.Result()
}

// fetchInVain downloads a file of less than 1 MiB with up to three requests, without
// waits, and asserts that there is nothing in the end. It returns the error.
func fetchInVain(t testing.TB, url string, opts ...DownloadOption) error {
	t.Helper()
	m := newManager(t, WithStrategy(shortly(3)))
	d := m.Download(url, "file", opts...)
	err := d.Wait()
	require.Error(t, err)
	require.NoFileExists(t, d.Dest())
	requireNothingUnfinished(t, m.dir.Root())
	require.ErrorIs(t, m.Wait(), err)
	return err
}

// asked returns the requests for a path so far, all of them GET: the range, "" for
// the whole, and the version it is to be of.
func asked(t testing.TB, o *testorigin.Origin, path string) (all []string) {
	t.Helper()
	for _, r := range o.Requests(path) {
		require.Equal(t, http.MethodGet, r.Method)
		text := r.Header.Get("Range")
		if version := r.Header.Get("If-Range"); version != "" {
			text += " if " + version
		}
		all = append(all, text)
	}
	return all
}

// requireCut asserts that an error says that the answer ended too early.
func requireCut(t testing.TB, err error) {
	t.Helper()
	_, ok := errors.AsType[*TransferError](err)
	require.True(t, ok, "%v", err)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.True(t, IsTemporary(err))
}

func TestServerRefusesHEAD(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 8*mib, tagged, testorigin.NoHead(), testorigin.Sequence(testorigin.CutAfter(mib), testorigin.OK()))
	fetchWhole(t, contentOf(8*mib), url, WithConnections(4))
	asked(t, o, "/file") // by GET alone
}

func TestServerHasAFileOfNextToNothing(t *testing.T) {
	for _, size := range []int64{0, 1, 2} {
		for name, framing := range map[string]testorigin.Option{
			"length": testorigin.OK(), "chunks": testorigin.NoLength(), "close": testorigin.CloseDelimited(),
		} {
			t.Run(fmt.Sprint(size, " by ", name), func(t *testing.T) {
				o := testorigin.New(t)
				var last []int64
				r := fetchWhole(t, contentOf(size), o.ServeSize("/file", size, tagged, framing), WithConnections(16),
					WithProgress(func(_ *Download, current, total int64) { last = []int64{current, total} }))
				assert.Equal(t, []int64{size, size}, last)
				assert.Equal(t, OriginFetched, r.Origin)
				assert.Equal(t, name != "close", r.Verified)
				assert.Equal(t, []string{""}, asked(t, o, "/file"))
			})
		}
	}
}

func TestServerSendsLessThanItAnnounced(t *testing.T) {
	o := testorigin.New(t)
	less := testorigin.All(testorigin.Size(half), testorigin.ContentLength(fmt.Sprint(small)))
	url := o.ServeSize("/once", small, tagged, testorigin.Sequence(less, testorigin.OK()))
	fetchWhole(t, contentOf(small), url)
	assert.Equal(t, []string{"", `bytes=400- if "v1"`}, asked(t, o, "/once"))

	requireCut(t, fetchInVain(t, o.ServeSize("/always", small, less)))
	assert.Equal(t, []string{"", "", ""}, asked(t, o, "/always"), "without a validator it begins anew")
}

func TestServerSendsMoreThanItAnnounced(t *testing.T) {
	// The announced length is the body's end (RFC 9112, section 6.3); what comes
	// behind it is neither stored nor taken for the next answer.
	o := testorigin.New(t)
	url := o.ServeSize("/file", small, testorigin.ContentLength(fmt.Sprint(half)))
	r := fetchWhole(t, contentOf(half), url)
	assert.True(t, r.Verified)
	m := newManager(t, WithMaxPerHost(1))
	for i := range 5 {
		d := m.Download(url, fmt.Sprint("file", i))
		require.NoError(t, d.Wait())
		requireSame(t, half, d.Dest())
	}
	assert.Equal(t, 6, o.Count("/file"))
}

func TestServerCutsAChunkedBody(t *testing.T) {
	o := testorigin.New(t)
	for path, cut := range map[string]testorigin.Option{
		"/middle": testorigin.CutAfter(half), "/end": testorigin.CutAfter(small), // the last chunk is missing
	} {
		sequence := testorigin.Sequence(testorigin.All(testorigin.NoLength(), cut), testorigin.NoLength())
		fetchWhole(t, contentOf(small), o.ServeSize(path, small, sequence))
		assert.Equal(t, []string{"", ""}, asked(t, o, path))
		requireCut(t, fetchInVain(t, o.ServeSize(path+"/always", small, testorigin.NoLength(), cut)))
		assert.Equal(t, 3, o.Count(path+"/always"))
	}
	sequence := testorigin.Sequence(testorigin.All(testorigin.NoLength(), testorigin.CutAfter(half)), testorigin.OK())
	r := fetchWhole(t, contentOf(small), o.ServeSize("/tagged", small, tagged, sequence))
	assert.EqualValues(t, small, r.WireBytes)
	assert.Equal(t, []string{"", `bytes=400- if "v1"`}, asked(t, o, "/tagged"))
}

func TestServerCutsACloseDelimitedBody(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", small, testorigin.CloseDelimited(), testorigin.CutAfter(half))
	r := fetchWhole(t, contentOf(half), url)
	assert.False(t, r.Verified, "nobody can tell")
	require.ErrorIs(t, fetchInVain(t, url, WithChecksum(sha256Of(contentOf(small)))), ErrChecksum)
	require.ErrorIs(t, fetchInVain(t, url, WithMinSize(small)), ErrTooSmall)
	r = fetchWhole(t, contentOf(half), url, WithChecksum(sha256Of(contentOf(half))))
	assert.True(t, r.Verified)
}

func TestServerCompressesUnasked(t *testing.T) {
	for name, c := range map[string]struct {
		opt  testorigin.Option
		want []string
	}{
		"gzip":         {testorigin.Gzip(), []string{""}},
		"in chunks":    {testorigin.All(testorigin.Gzip(), testorigin.NoLength()), []string{""}},
		"only said":    {testorigin.Header("Content-Encoding", "br"), []string{""}},
		"a later part": {testorigin.Sequence(testorigin.CutAfter(half), testorigin.Header("Content-Encoding", "gzip")), []string{"", `bytes=400- if "v1"`}},
	} {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			err := fetchInVain(t, o.ServeSize("/file", small, tagged, c.opt))
			require.ErrorContains(t, err, "encoded")
			assert.False(t, IsTemporary(err))
			assert.Equal(t, c.want, asked(t, o, "/file"))
			for _, r := range o.Requests("/file") {
				assert.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
			}
		})
	}
}

func TestServerSendsAnEndlessBody(t *testing.T) {
	o := testorigin.New(t)
	for path, opt := range map[string]testorigin.Option{
		"/chunks": testorigin.Endless(), "/close": testorigin.All(testorigin.Endless(), testorigin.CloseDelimited()),
	} {
		err := fetchInVain(t, o.Serve(path, nil, opt), WithMaxSize(small))
		require.ErrorIs(t, err, ErrTooLarge)
		assert.False(t, IsTemporary(err))
		assert.Equal(t, 1, o.Count(path))
	}
	err := fetchInVain(t, o.Serve("/error", nil, testorigin.Status(404, ""), testorigin.Endless()))
	require.ErrorIs(t, err, ErrNotFound)
	assert.Less(t, len(err.Error()), 1000, "its text is not kept in whole")
}

func TestServerAnnouncesMoreThanThereIs(t *testing.T) {
	o := testorigin.New(t)
	for _, length := range []string{"9223372036854775808", "99999999999999999999999", "-1", "many"} {
		path := "/" + length
		err := fetchInVain(t, o.ServeSize(path, small, testorigin.ContentLength(length)))
		_, ok := errors.AsType[*TransferError](err)
		assert.True(t, ok, "%v", err)
	}
	for _, length := range []string{"9223372036854775807", "4611686018427387904"} {
		t.Run(length, func(t *testing.T) {
			url := o.ServeSize("/"+length, small, testorigin.ContentLength(length))
			requireCut(t, fetchInVain(t, url))
			require.ErrorIs(t, fetchInVain(t, url, WithMaxSize(1<<40)), ErrTooLarge)
			assert.Equal(t, 4, o.Count("/"+length))
		})
	}
}

func TestServerAnnouncesMoreThanTheCacheMayHold(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithSizeLimit(10*small), WithFileLimit(1))
	for i := range 5 {
		require.NoError(t, m.Download(o.ServeSize(fmt.Sprint("/small", i), small), fmt.Sprint("small", i)).Wait())
	}
	d := m.Download(o.ServeSize("/huge", small, testorigin.ContentLength("9223372036854775807")), "huge")
	require.Error(t, d.Wait())
	require.NoFileExists(t, d.Dest())
	for i := range 5 {
		assert.FileExists(t, m.dir.Path(fmt.Sprint("small", i)), "nothing goes for what cannot fit")
	}
	u := m.limit.Usage()
	assert.Zero(t, u.Reserved)
	assert.EqualValues(t, 5*small, u.Bytes)
	require.Error(t, m.Wait())
}

func TestServerAnswersAnErrorWithABody(t *testing.T) {
	o := testorigin.New(t)
	for _, code := range []int{204, 400, 404, 410, 500} {
		path := fmt.Sprint("/", code)
		err := fetchInVain(t, o.Serve(path, nil, testorigin.Status(code, strings.Repeat("word ", 1000))))
		status, ok := errors.AsType[*StatusError](err)
		require.True(t, ok)
		assert.Equal(t, code, status.Code)
		assert.Less(t, len(err.Error()), 1000)
		if code != 500 {
			assert.Equal(t, 1, o.Count(path), "another request would not help")
		}
	}
}
