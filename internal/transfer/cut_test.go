package transfer

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// requireCut requires an answer that was cut short after so many bytes.
func requireCut(t *testing.T, err error, offset int) {
	t.Helper()
	failed := requireFailure(t, err, ErrCut)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.EqualValues(t, offset, failed.Offset)
	requireNoSecret(t, err)
}

func TestEveryEarlyEndIsACut(t *testing.T) {
	o := testorigin.New(t)
	for name, c := range map[string]struct {
		option testorigin.Option
		offset int
	}{
		"by length":          {testorigin.CutAfter(100), 100},
		"chunked":            {testorigin.All(testorigin.NoLength(), testorigin.CutAfter(100)), 100},
		"before the headers": {testorigin.Drop(), 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := get(t, o.ServeSize("/f", 1<<20, c.option))
			requireCut(t, err, c.offset)
		})
	}
}

func TestAResetIsACutAndSaysSo(t *testing.T) {
	o := testorigin.New(t)
	_, m, err := get(t, o.ServeSize("/f", 1<<20, testorigin.ResetAfter(100)))
	requireCut(t, err, len(m.data))
	_, ok := errors.AsType[syscall.Errno](err)
	require.True(t, ok, "the cause can be asked for")
	require.Contains(t, err.Error(), ErrCut.Error()+": ")
}

func TestAShortBodyOfACallersTransportIsACut(t *testing.T) {
	short := roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, ContentLength: 5, Body: io.NopCloser(strings.NewReader("123"))}, nil
	})
	_, _, err := get(t, "http://h/f", withClient(&http.Client{Transport: short}))
	requireCut(t, err, 3)
}

func TestAnEarlyEndOverHTTP2IsACut(t *testing.T) {
	o := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "12345")
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	}))
	o.EnableHTTP2 = true
	o.StartTLS()
	defer o.Close()
	for path, offset := range map[string]int{"/headers": 0, "/body": 5} {
		_, _, err := get(t, o.URL+path, withClient(o.Client()))
		requireCut(t, err, offset)
	}
}

func TestABrokenConnectionOverHTTP2IsACut(t *testing.T) {
	lost, late := errors.New("http2: client connection lost"), os.ErrDeadlineExceeded
	for _, c := range []struct {
		major int
		err   error
		want  bool
	}{{1, lost, false}, {2, lost, true}, {3, lost, true}, {2, late, false}} {
		rt := roundTrip(func(*http.Request) (*http.Response, error) {
			body := io.MultiReader(strings.NewReader("123"), readFunc(func([]byte) (int, error) { return 0, c.err }))
			return &http.Response{StatusCode: 200, ProtoMajor: c.major, ContentLength: -1, Body: io.NopCloser(body)}, nil
		})
		_, _, err := get(t, "http://h/f", withClient(&http.Client{Transport: rt}))
		requireFailure(t, err, c.err)
		require.Equal(t, c.want, errors.Is(err, ErrCut), "HTTP/%d %v", c.major, c.err)
	}
}

func TestARefusedConnectionIsNoCut(t *testing.T) {
	_, _, err := get(t, "http://"+closedPort(t)+"/f")
	requireFailure(t, err, errAny)
	require.NotErrorIs(t, err, ErrCut)
}
