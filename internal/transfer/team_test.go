package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// store serves content by ranges and holds each answer, after its first bytes,
// until all that the test waits for have come.
type store struct {
	content []byte
	tag     string
	meet    int // answers that have to be there before any goes on; 0: none waits
	answer  func(w http.ResponseWriter, r *http.Request, n int) bool

	mu    sync.Mutex
	asked []*http.Request
	met   chan struct{}
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r)
	n := len(s.asked)
	if n == s.meet {
		close(s.met)
	}
	s.mu.Unlock()
	if s.answer != nil && s.answer(w, r, n) {
		return
	}
	w.Header().Set("ETag", s.tag)
	body := io.ReadSeeker(bytes.NewReader(s.content))
	if s.meet > 0 {
		body = &waiting{ReadSeeker: body, until: s.met, gone: r.Context().Done()}
	}
	http.ServeContent(w, r, "", time.Time{}, body)
}

// waiting is a body of which 64 KiB come at once: less would stay in the
// server's buffer.
type waiting struct {
	io.ReadSeeker
	n           int
	until, gone <-chan struct{}
}

func (w *waiting) Read(b []byte) (int, error) {
	if w.n >= 64<<10 {
		select {
		case <-w.until:
		case <-w.gone:
			return 0, io.ErrUnexpectedEOF
		}
	} else {
		b = b[:min(len(b), 64<<10)]
	}
	n, err := w.ReadSeeker.Read(b)
	w.n += n
	return n, err
}

func newStore(t *testing.T, size, meet int) (*store, string) {
	s := &store{content: content(t, int64(size)), tag: `"v1"`, meet: meet, met: make(chan struct{})}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

func fixed(n int) func(*Request) {
	return func(r *Request) { r.Connections, r.Fixed = n, true }
}

// goOnAfter lets all answers go on when some connections have been given up.
func (s *store) goOnAfter(n int32) func(*Request) {
	var ended atomic.Int32
	return func(r *Request) {
		r.Company = &company{connect: func() (func(), bool) {
			return func() {
				if ended.Add(1) == n {
					close(s.met)
				}
			}, true
		}}
	}
}

// company grants what connect says.
type company struct {
	connect func() (func(), bool)
	crowded atomic.Bool
	refused atomic.Int32
}

func (c *company) Connect() (func(), bool) { return c.connect() }
func (c *company) Crowded() int {
	if c.crowded.Load() {
		return 16
	}
	return 0
}
func (c *company) Refused(*StatusError) { c.refused.Add(1) }

// fetchSlate fetches into a slate.
func fetchSlate(t *testing.T, url string, size int, change ...func(*Request)) (*slate, Result, error) {
	t.Helper()
	req := Request{URL: parse(t, url), Client: newClient(t)}
	for _, c := range change {
		c(&req)
	}
	s := &slate{data: make([]byte, size)}
	result, err := Fetch(t.Context(), req, s)
	return s, result, err
}

func TestSeveralConnectionsBringOneFile(t *testing.T) {
	const size = 8 << 20
	s, url := newStore(t, size, 4)
	got, result, err := fetchSlate(t, url, size, fixed(4))
	require.NoError(t, err)
	require.True(t, bytes.Equal(s.content, got.data))
	require.EqualValues(t, size, result.N)
	require.Nil(t, result.Ranges)
	for i, r := range s.requests()[1:4] {
		assert.Contains(t, r.Header.Get("Range"), "bytes=", i)
		assert.Equal(t, `"v1"`, r.Header.Get("If-Range"))
	}
	assert.Empty(t, s.requests()[0].Header.Get("Range"))
}

func TestAServerThatGivesNoMoreConnections(t *testing.T) {
	for _, status := range []int{429, 503, 403, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			const size = 8 << 20
			s, url := newStore(t, size, 1000)
			s.answer = func(w http.ResponseWriter, r *http.Request, n int) bool {
				if n > 1 {
					w.WriteHeader(status)
				}
				return n > 1
			}
			got, _, err := fetchSlate(t, url, size, fixed(3), s.goOnAfter(2))
			require.NoError(t, err, "the first connection goes on alone")
			require.True(t, bytes.Equal(s.content, got.data))
			require.Len(t, s.requests(), 3)
		})
	}
}

func TestAnotherVersionBesideTheFirstBeginsAnew(t *testing.T) {
	const size = 8 << 20
	for name, other := range map[string]struct {
		tag  string
		size int
	}{
		"another tag": {`"v2"`, size}, "another size": {`"v2"`, size + 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, url := newStore(t, size, 2)
			second := bytes.Repeat([]byte("second version"), other.size)[:other.size]
			s.answer = func(w http.ResponseWriter, r *http.Request, n int) bool {
				if n == 1 {
					return false
				}
				w.Header().Set("ETag", other.tag)
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(second))
				return true
			}
			got, result, err := fetchSlate(t, url, other.size, fixed(2))
			require.NoError(t, err)
			want := second
			if result.ETag == s.tag { // the first answer went on to its end
				want = s.content
			}
			require.True(t, bytes.Equal(want, got.data[:len(want)]), "a mix of two versions")
			require.EqualValues(t, len(want), result.N)
		})
	}
}

func TestAServerThatSendsNoParts(t *testing.T) {
	const size = 8 << 20
	for name, header := range map[string]string{"and says so": "none", "and says otherwise": "bytes"} {
		s, url := newStore(t, size, 1000)
		s.answer = func(w http.ResponseWriter, r *http.Request, n int) bool {
			w.Header().Set("ETag", s.tag)
			w.Header().Set("Accept-Ranges", header)
			w.Header().Set("Content-Length", fmt.Sprint(size))
			_, _ = io.Copy(w, &waiting{ReadSeeker: bytes.NewReader(s.content), until: s.met, gone: r.Context().Done()})
			return true
		}
		if header == "none" {
			close(s.met)
		}
		got, _, err := fetchSlate(t, url, size, fixed(4), s.goOnAfter(3))
		require.NoError(t, err, name)
		require.True(t, bytes.Equal(s.content, got.data), name)
	}
}

func TestWhenOneConnectionFailsTheOthersBringItsPart(t *testing.T) {
	const size = 8 << 20
	s, url := newStore(t, size, 4)
	var cut atomic.Bool
	s.answer = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if n != 3 || cut.Swap(true) {
			return false
		}
		panic(http.ErrAbortHandler)
	}
	got, _, err := fetchSlate(t, url, size, fixed(4))
	require.NoError(t, err)
	require.True(t, bytes.Equal(s.content, got.data))
}

func TestWhatSeveralConnectionsLeftIsGoneOnFrom(t *testing.T) {
	const size = 8 << 20
	s, url := newStore(t, size, 4)
	first := &slate{data: make([]byte, size)}
	full := errors.New("disk full") // a context that ends may be noticed when all has come
	limit := &stopping{slate: first, after: size / 2, stop: func() error { return full }}
	req := Request{URL: parse(t, url), Client: newClient(t), Connections: 4, Fixed: true}
	result, err := Fetch(t.Context(), req, limit)
	require.ErrorIs(t, err, full)
	require.NotZero(t, result.N)
	requireStored(t, s.content, result)

	before := len(s.requests())
	req.After = &result
	result, err = Fetch(t.Context(), req, first)
	require.NoError(t, err)
	require.True(t, bytes.Equal(s.content, first.data))
	require.EqualValues(t, size, result.N)
	for _, r := range s.requests()[before:] {
		require.NotEmpty(t, r.Header.Get("Range"))
	}
}

func (s *store) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// stopping ends the transfer after some bytes.
type stopping struct {
	*slate
	after int64
	stop  func() error
}

func (s *stopping) Stored(r *Result, n int) error {
	if r.N >= s.after {
		if err := s.stop(); err != nil {
			return err
		}
	}
	return s.slate.Stored(r, n)
}

func TestConnectionsAreAskedFor(t *testing.T) {
	const size = 8 << 20
	s, url := newStore(t, size, 2)
	var given, back atomic.Int32
	_, _, err := fetchSlate(t, url, size, fixed(8), func(r *Request) {
		r.Company = &company{connect: func() (func(), bool) {
			if given.Add(1) > 1 {
				return nil, false
			}
			return func() { back.Add(1) }, true
		}}
	})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, given.Load(), int32(2), "one was given, the others refused")
	assert.EqualValues(t, 1, back.Load())
	assert.NotEmpty(t, s.requests())
}

// limited is a body that comes at some MiB a second until a time.
type limited struct {
	io.ReadSeeker
	until <-chan struct{}
}

func (l *limited) Read(b []byte) (int, error) {
	select {
	case <-l.until:
	case <-time.After(10 * time.Millisecond):
		b = b[:min(len(b), 32<<10)]
	}
	return l.ReadSeeker.Read(b)
}

// Two connections are not the end where each is limited and places are free.
func TestConnectionsGrowAsLongAsEachIsLimited(t *testing.T) {
	t.Parallel() // it waits for windows of time
	const size = 24 << 20
	s, url := newStore(t, size, 6)
	s.answer = func(w http.ResponseWriter, r *http.Request, n int) bool {
		w.Header().Set("ETag", s.tag)
		http.ServeContent(w, r, "", time.Time{}, &limited{bytes.NewReader(s.content), s.met})
		return true
	}
	got, _, err := fetchSlate(t, url, size, func(r *Request) {
		r.Connections = 16
		r.Company = &company{connect: func() (func(), bool) { return func() {}, true }}
	})
	require.NoError(t, err)
	require.True(t, bytes.Equal(s.content, got.data))
	require.GreaterOrEqual(t, len(s.requests()), 6)
}

func TestNoPlaceIsAskedForWhenThereIsNothingToShare(t *testing.T) {
	const size = 4 << 20
	_, url := newStore(t, size, 0)
	c := &company{connect: func() (func(), bool) {
		t.Error("asked for a place")
		return nil, false
	}}
	b := newBoard(Result{Head: Head{Total: size, Exact: true}}, &slate{data: make([]byte, size)}, nil, nil)
	l := &line{board: b, fetch: &fetch{req: Request{URL: parse(t, url), Connections: 2, Fixed: true, Company: c}}}
	l.part = b.take(l)
	l.part.at = size - 1000
	team := &team{board: b, first: l, most: 2}
	assert.Zero(t, team.grow(2))
}

func TestConnectionsAreGivenBackWhenOthersWait(t *testing.T) {
	const size = 8 << 20
	s, url := newStore(t, size, 100) // no answer goes on by itself
	c := &company{}
	s.answer = func(_ http.ResponseWriter, _ *http.Request, n int) bool {
		c.crowded.Store(n >= 4)
		return false
	}
	var back atomic.Int32
	c.connect = func() (func(), bool) {
		if c.crowded.Load() {
			return nil, false
		}
		return func() {
			if back.Add(1) == 3 {
				close(s.met)
			}
		}, true
	}
	_, _, err := fetchSlate(t, url, size, fixed(4), func(r *Request) {
		r.Company = c
	})
	require.NoError(t, err)
	assert.EqualValues(t, 3, back.Load(), "all but the first")
}

func TestAFailingSinkEndsAllConnections(t *testing.T) {
	const size = 8 << 20
	_, url := newStore(t, size, 4)
	full := errors.New("disk full")
	req := Request{URL: parse(t, url), Client: newClient(t), Connections: 4, Fixed: true}
	_, err := Fetch(t.Context(), req, &failing{slate: &slate{data: make([]byte, size)}, err: full})
	require.ErrorIs(t, err, full)
}

// failing is a sink that is full after a while.
type failing struct {
	*slate
	err error
}

func (f *failing) WriteAt(b []byte, off int64) (int, error) {
	if off > 6<<20 {
		return 0, f.err
	}
	return f.slate.WriteAt(b, off)
}

func TestSmallFilesAndThoseThatCannotBeProvenComeOverOneConnection(t *testing.T) {
	for name, c := range map[string]struct {
		size int
		tag  string
	}{
		"empty": {0, `"v1"`}, "one byte": {1, `"v1"`}, "two bytes": {2, `"v1"`}, "a mebibyte": {1 << 20, `"v1"`},
		"weak tag": {8 << 20, `W/"v1"`},
	} {
		s, url := newStore(t, c.size, 0)
		s.tag = c.tag
		got, _, err := fetchSlate(t, url, c.size, fixed(16))
		require.NoError(t, err, name)
		require.True(t, bytes.Equal(s.content, got.data), name)
		require.Len(t, s.requests(), 1, name)
	}
}

func TestASecondConnectionGoesWhereTheFirstWasLed(t *testing.T) {
	const size = 8 << 20
	s, url := newStore(t, size, 2)
	led := httptest.NewServer(http.RedirectHandler(url+"/there?sig=1", http.StatusFound))
	t.Cleanup(led.Close)
	got, _, err := fetchSlate(t, strings.Replace(led.URL, "http://", "http://user:word@", 1), size, fixed(2), func(r *Request) {
		r.Header = http.Header{"X-Token": {"secret"}}
	})
	require.NoError(t, err)
	require.True(t, bytes.Equal(s.content, got.data))
	for _, r := range s.requests() {
		assert.Equal(t, "sig=1", r.URL.RawQuery)
		assert.Empty(t, r.Header.Get("X-Token"))
		assert.Empty(t, r.Header.Get("Authorization"))
	}
}

func TestOneThatIsRefusedLateLeavesItsPartToTheFirst(t *testing.T) {
	const size = 8 << 20
	for _, status := range []int{404, 429} {
		s, url := newStore(t, size, 0)
		ended := make(chan struct{})
		s.answer = func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n == 2 { // when the first has all of its share
				select {
				case <-ended:
				case <-r.Context().Done():
				}
				w.WriteHeader(status)
			}
			return n == 2
		}
		var once sync.Once
		watching := &stopping{slate: &slate{data: make([]byte, size)}, after: size / 2, stop: func() error { once.Do(func() { close(ended) }); return nil }}
		req := Request{URL: parse(t, url), Client: newClient(t), Connections: 2, Fixed: true}
		_, err := Fetch(t.Context(), req, watching)
		require.NoError(t, err)
		require.True(t, bytes.Equal(s.content, watching.data))
	}
}

// However many lines are refused at once, it is known how many the server lets be.
func TestLinesThatAreRefusedTogetherAreCounted(t *testing.T) {
	const lines = 8
	for range 2000 { // mostly, they are not refused at the same instant
		group := team{board: &board{running: 1 + lines}, most: 1 + lines}
		var ends sync.WaitGroup
		for range lines {
			ends.Go(func() { group.ended(&StatusError{Code: http.StatusServiceUnavailable}) })
		}
		ends.Wait()
		active, most := group.count()
		require.Equal(t, 1, active)
		require.Equal(t, 1, most)
	}
}
