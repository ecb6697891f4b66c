package dlmanager

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestServerRedirectsInALoop(t *testing.T) {
	o := testorigin.New(t)
	for _, code := range []int{301, 302, 303, 307, 308} {
		path := "/" + http.StatusText(code)
		err := fetchInVain(t, o.Serve(path, nil, testorigin.RedirectLoop(code)))
		require.ErrorContains(t, err, "10 redirects")
		assert.False(t, IsTemporary(err))
		assert.Equal(t, 11, o.Count(path), "and it is not tried again")
		asked(t, o, path)
	}
	o.Serve("/ping", nil, testorigin.Redirect("/pong", 302))
	require.ErrorContains(t, fetchInVain(t, o.Serve("/pong", nil, testorigin.Redirect("/ping", 302))), "10 redirects")
}

// trusting returns an option to talk to an origin with TLS.
func trusting(t testing.TB, o *testorigin.Origin) DownloadOption {
	t.Helper()
	transport := NewTransport()
	transport.TLSClientConfig = &tls.Config{RootCAs: o.RootCAs()}
	t.Cleanup(transport.CloseIdleConnections)
	return WithTransport(transport)
}

func TestServerRedirectsToPlainHTTP(t *testing.T) {
	secure, plain := testorigin.NewTLS(t), testorigin.New(t)
	url := secure.Serve("/file", nil, testorigin.Redirect(plain.ServeSize("/file", small), 302))
	err := fetchInVain(t, url, trusting(t, secure))
	require.ErrorContains(t, err, "https to http")
	assert.False(t, IsTemporary(err))
	assert.Equal(t, 1, secure.Count("/file"))
	assert.Zero(t, plain.Count("/file"))

	up := plain.Serve("/up", nil, testorigin.Redirect(secure.ServeSize("/up", small), 301))
	fetchWhole(t, contentOf(small), up, trusting(t, secure))
}

func TestServerRedirectsToAnotherHost(t *testing.T) {
	o, other := testorigin.New(t), testorigin.New(t)
	for name, to := range map[string]string{"port": other.URL("/file"), "name": o.AltURL("/file")} {
		t.Run(name, func(t *testing.T) {
			o.ServeSize("/file", small)
			other.ServeSize("/file", small)
			url := o.Serve("/from", nil, testorigin.RequireBasicAuth("user", "hunter2"), testorigin.Redirect(to, 302))
			url = strings.Replace(url, "://", "://user:hunter2@", 1)
			fetchWhole(t, contentOf(small), url, WithHeader("Cookie", "id=1"), WithHeader("X-Token", "t"))
			arrived := append(o.Requests("/file"), other.Requests("/file")...)
			for _, r := range arrived {
				for _, private := range []string{"Authorization", "Cookie", "X-Token", "Referer"} {
					assert.Empty(t, r.Header.Get(private), private)
				}
			}
			assert.NotEmpty(t, arrived)
		})
	}
}

func TestServerRedirectsTheRestToAnotherHost(t *testing.T) {
	o, other := testorigin.New(t), testorigin.New(t)
	o.ServeSize("/store", small, tagged, testorigin.CutAfter(half))
	fresh := strings.Repeat("n", small)
	to := other.Serve("/store", []byte(fresh), tagged)
	url := o.Serve("/file", nil, testorigin.Sequence(testorigin.Redirect("/store", 302), testorigin.Redirect(to, 302)))
	fetchWhole(t, fresh, url)
	assert.Equal(t, []string{`bytes=400- if "v1"`, ""}, asked(t, other, "/store"), "a tag says nothing about another host's file")
}

func TestServerRedirectsNowhere(t *testing.T) {
	o := testorigin.New(t)
	for path, to := range map[string]string{
		"/scheme": "ftp://127.0.0.1/file", "/disk": "file:///etc/passwd", "/broken": "http://[::bad/", "/nohost": "http:///file",
	} {
		err := fetchInVain(t, o.Serve(path, nil, testorigin.Redirect(to, 302)))
		_, ok := errors.AsType[*TransferError](err)
		assert.True(t, ok, "%v", err)
		assert.False(t, IsTemporary(err))
		assert.Equal(t, 1, o.Count(path), to)
	}
	err := fetchInVain(t, o.Serve("/without", nil, testorigin.Status(302, "")))
	status, ok := errors.AsType[*StatusError](err)
	require.True(t, ok)
	assert.Equal(t, 302, status.Code)
}

func TestServerLetsASignedURLExpireMidway(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", nil, testorigin.Sequence(
		testorigin.Redirect("/store?sig=1", http.StatusFound),
		testorigin.Redirect("/store?sig=1", http.StatusFound), // it has not noticed yet
		testorigin.Redirect("/store?sig=2", http.StatusFound)))
	o.ServeSize("/store", 4*mib, tagged, testorigin.Sequence(
		testorigin.CutAfter(2*mib), testorigin.Status(403, "Request has expired"), testorigin.OK()))
	d := newManager(t, WithStrategy(noWait{})).Download(url, "file")
	require.NoError(t, d.Wait())
	requireSame(t, 4*mib, d.Dest())
	assert.Equal(t, 3, o.Count("/store"))
	assert.Equal(t, "sig=2", o.Requests("/store")[2].RawQuery)
	assert.Equal(t, "bytes=2097152-", o.Requests("/store")[2].Header.Get("Range"))

	o.ServeSize("/denied", 4*mib, tagged, testorigin.Sequence(testorigin.CutAfter(2*mib), testorigin.Status(403, "")))
	require.ErrorContains(t, newManager(t, WithStrategy(noWait{})).Download(o.URL("/denied"), "denied", WithoutResume()).Wait(), "403")
	assert.Equal(t, 3, o.Count("/denied"), "it is asked again once")
}
