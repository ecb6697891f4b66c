package transfer

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestRedirectsAreFollowed(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/dir/file", []byte("here"))
	for _, code := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{
			o.URL("/dir/file"), "/dir/file", "file", "./x/../file", "//" + strings.TrimPrefix(o.URL("/dir/file"), "http://"),
			o.URL("/dir/file#part"), "file?a=1", o.AltURL("/dir/file"),
		} {
			_, m, err := get(t, o.Serve("/dir/start", nil, testorigin.Redirect(location, code)))
			require.NoError(t, err, "%d %s", code, location)
			require.Equal(t, "here", string(m.data))
			require.Contains(t, m.head.FinalURL, "/dir/file")
		}
	}
}

func TestTenRedirectsAreFollowedAndElevenAreNot(t *testing.T) {
	o := testorigin.New(t)
	for i := 1; i <= 11; i++ {
		o.Serve(fmt.Sprintf("/%d", i), nil, testorigin.Redirect(fmt.Sprintf("/%d", i-1), 302))
	}
	o.Serve("/0", []byte("end"))
	_, m, err := get(t, o.URL("/10"))
	require.NoError(t, err)
	require.Equal(t, "end", string(m.data))
	_, _, err = get(t, o.URL("/11"))
	failed := requireFailure(t, err, ErrTooManyRedirects)
	require.Equal(t, "follow redirect", failed.Op)
	require.Equal(t, 1, o.Count("/0"), "the eleventh is not asked for")
}

func TestARedirectLoopEnds(t *testing.T) {
	o := testorigin.New(t)
	_, _, err := get(t, o.Serve("/f", nil, testorigin.RedirectLoop(307)))
	requireFailure(t, err, ErrTooManyRedirects)
	require.Equal(t, 11, o.Count("/f"))
}

func TestNoRedirectFromHTTPSToHTTP(t *testing.T) {
	plain, secure := testorigin.New(t), testorigin.NewTLS(t)
	target := plain.Serve("/f", []byte("x"))
	_, _, err := get(t, secure.Serve("/f", nil, testorigin.Redirect(target, 302)), withClient(secure.Client()))
	requireFailure(t, err, ErrInsecureRedirect)
	require.Zero(t, plain.Count("/f"))

	up := plain.Serve("/up", nil, testorigin.Redirect(secure.Serve("/g", []byte("safe")), 302))
	_, m, err := get(t, up, withClient(secure.Client()))
	require.NoError(t, err)
	require.Equal(t, "safe", string(m.data))

	upDown := plain.Serve("/updown", nil, testorigin.Redirect(secure.URL("/f"), 302))
	_, _, err = get(t, upDown, withClient(secure.Client()))
	requireFailure(t, err, ErrInsecureRedirect)
}

func TestRedirectTargets(t *testing.T) {
	for _, c := range []struct {
		from, location, want string
		reason               error
	}{
		{"http://h/a", "http://g/b", "http://g/b", nil},
		{"HTTP://h/a", "/b", "http://h/b", nil},
		{"http://h/a?q", "", "http://h/a?q", nil},
		{"http://h/a", "HTTPS://g/b", "https://g/b", nil},
		{"http://u:p@h/a", "b", "http://h/b", nil},
		{"http://h/a", "http://u:p@g/b", "http://g/b", nil},
		{"http://h/a", "https://g:444/ü b", "https://g:444/%C3%BC%20b", nil},
		{"https://h/a", "http://h/a", "", ErrInsecureRedirect},
		{"HTTPS://h/a", "http://h/a", "", ErrInsecureRedirect},
		{"http://h/a", "ftp://h/a", "", ErrBadRedirect},
		{"http://h/a", "file:///etc/passwd", "", ErrBadRedirect},
		{"http://h/a", "javascript:alert(1)", "", ErrBadRedirect},
		{"http://h/a", "http:", "", ErrBadRedirect},
		{"http://h/a", "http:///b", "", ErrBadRedirect},
		{"http://h/a", "http:b", "", ErrBadRedirect},
		{"http://h/a", "http://:80/b", "", ErrBadRedirect},
		{"http://h/a", "http://u:p@/b", "", ErrBadRedirect},
		{"http://h/a", "http://h:port/", "", ErrBadRedirect},
		{"http://h/a", "http://[::1/", "", ErrBadRedirect},
		{"http://h/a", "%zz", "", ErrBadRedirect},
		{"http://h/a", "/b\x00", "", ErrBadRedirect},
		{"http://h/a", "\x1b[2J", "", ErrBadRedirect},
	} {
		to, err := target(parse(t, c.from), c.location)
		if c.reason != nil {
			require.ErrorIs(t, err, c.reason, c.location)
			continue
		}
		require.NoError(t, err, c.location)
		require.Equal(t, c.want, to.String())
	}
}

func TestSameOrigin(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"http://h/a", "http://h/b", true},
		{"http://h/a", "http://h:80/b", true},
		{"https://h:443/a", "https://H/b", true},
		{"http://[::1]:8080/", "http://[::1]:8080/x", true},
		{"http://h/a", "https://h/a", true},
		{"http://h:80/a", "https://h:443/a", true},
		{"HTTP://h/a", "https://h/a", true},
		{"https://h/a", "http://h/a", false},
		{"https://h:80/a", "http://h:80/a", false},
		{"http://h:8080/a", "https://h/a", false},
		{"http://h/a", "https://h:8443/a", false},
		{"http://h:443/a", "https://h:443/a", false},
		{"http://h/a", "http://h:8080/a", false},
		{"https://h/a", "https://h:444/a", false},
		{"http://h/a", "http://www.h/a", false},
		{"http://www.h/a", "http://h/a", false},
		{"http://h/a", "http://hh/a", false},
		{"http://h/a", "http://h./a", false},
		{"http://127.0.0.1/", "http://localhost/", false},
	} {
		require.Equal(t, c.want, SameOrigin(parse(t, c.from), parse(t, c.to)), "%s %s", c.from, c.to)
	}
}

// private makes a request carry all that must not go to another origin.
func private(r *Request) {
	r.URL.User = url.UserPassword("me", "pass")
	r.Header = http.Header{"Cookie": {"sid=1"}, "X-Token": {"t"}}
}

func requirePrivate(t *testing.T, want bool, r testorigin.Request) {
	t.Helper()
	require.Equal(t, want, r.HasAuth, r.Path)
	require.Equal(t, want, r.Header.Get("Cookie") == "sid=1", r.Path)
	require.Equal(t, want, r.Header.Get("X-Token") == "t", r.Path)
	require.Equal(t, "test/1", r.Header.Get("User-Agent"))
	require.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
	require.Empty(t, r.Header.Values("Referer"), "it could carry a signed query")
}

func TestWhatIsPrivateStaysWithItsOrigin(t *testing.T) {
	a, b := testorigin.New(t), testorigin.New(t)
	a.Serve("/end", []byte("x"))
	b.Serve("/end", []byte("x"))
	for _, c := range []struct {
		name, to string
		at       *testorigin.Origin
		want     bool
	}{
		{"same", "/end", a, true},
		{"other host", a.AltURL("/end"), a, false},
		{"other port", b.URL("/end"), b, false},
		{"with userinfo of the server's", strings.Replace(b.URL("/end"), "://", "://you:there@", 1), b, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := get(t, a.Serve("/start", nil, testorigin.Redirect(c.to, 307))+"?sig=secret", private)
			require.NoError(t, err)
			first := a.Requests("/start")
			requirePrivate(t, true, first[len(first)-1])
			last := c.at.Requests("/end")
			requirePrivate(t, c.want, last[len(last)-1])
		})
	}
	require.Equal(t, "me", a.Requests("/end")[0].User)
	require.Equal(t, "pass", a.Requests("/end")[0].Password)
}

func TestWhatIsPrivateDoesNotComeBack(t *testing.T) {
	a, b := testorigin.New(t), testorigin.New(t)
	a.Serve("/end", []byte("x"))
	b.Serve("/mid", nil, testorigin.Redirect("/mid2", 302))
	b.Serve("/mid2", nil, testorigin.Redirect(a.URL("/back"), 302))
	a.Serve("/back", nil, testorigin.Redirect("/end", 302))
	a.Serve("/second", nil, testorigin.Redirect(b.URL("/mid"), 302))
	_, _, err := get(t, a.Serve("/start", nil, testorigin.Redirect("/second", 302)), private)
	require.NoError(t, err)
	requirePrivate(t, true, a.Requests("/second")[0])
	requirePrivate(t, false, b.Requests("/mid")[0])
	requirePrivate(t, false, b.Requests("/mid2")[0])
	requirePrivate(t, false, a.Requests("/back")[0])
	requirePrivate(t, false, a.Requests("/end")[0])
}

func TestTheCallersAuthorizationOutranksTheURLs(t *testing.T) {
	o := testorigin.New(t)
	_, _, err := get(t, o.Serve("/f", nil), private, func(r *Request) { r.Header.Set("Authorization", "Bearer b") })
	require.NoError(t, err)
	require.Equal(t, "Bearer b", o.Requests("/f")[0].Header.Get("Authorization"))
}

func TestBasicAuthOfTheURL(t *testing.T) {
	o := testorigin.New(t)
	raw := o.Serve("/f", []byte("x"), testorigin.RequireBasicAuth("me@home", "p:w/ü"))
	u := parse(t, raw)
	u.User = url.UserPassword("me@home", "p:w/ü")
	_, _, err := get(t, u.String())
	require.NoError(t, err)
	_, _, err = get(t, raw)
	requireStatus(t, err, 401)
}

func TestTheHostHeaderIsTheCallersOwn(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/end", []byte("x"))
	_, _, err := get(t, o.Serve("/f", nil, testorigin.Redirect(o.AltURL("/end"), 302)),
		func(r *Request) { r.Header = http.Header{"Host": {"virtual.example"}} })
	require.NoError(t, err)
	require.Equal(t, "virtual.example", o.Requests("/f")[0].Host)
	require.Empty(t, o.Requests("/f")[0].Header.Values("Host"))
	require.Equal(t, parse(t, o.AltURL("/")).Host, o.Requests("/end")[0].Host)
}

func TestTheRequestIsLeftAlone(t *testing.T) {
	o := testorigin.New(t)
	header := http.Header{"x-token": {"t"}}
	client := newClient(t)
	u := parse(t, strings.Replace(o.Serve("/f", nil, testorigin.Redirect("/end", 302)), "://", "://me:pw@", 1)+"#frag")
	before := u.String()
	o.Serve("/end", nil)
	_, err := Fetch(t.Context(), Request{URL: u, Header: header, Client: client}, &memory{})
	require.NoError(t, err)
	require.Equal(t, before, u.String())
	require.Equal(t, http.Header{"x-token": {"t"}}, header)
	require.Nil(t, client.CheckRedirect)
}

func TestTheCallersCheckRedirectIsAsked(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/end", []byte("x"))
	start := o.Serve("/start", nil, testorigin.Redirect("/mid", 302))
	o.Serve("/mid", nil, testorigin.Redirect("/end", 302))
	var asked []string
	client := newClient(t)
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		asked = append(asked, fmt.Sprint(r.URL.Path, len(via), via[0].URL.Path, r.Response.StatusCode))
		r.Header.Set("X-Step", r.URL.Path)
		return nil
	}
	_, _, err := get(t, start, withClient(client), private)
	require.NoError(t, err)
	require.Equal(t, []string{"/mid1/start302", "/end2/start302"}, asked)
	require.Equal(t, "/end", o.Requests("/end")[0].Header.Get("X-Step"), "it may change the request")
	requirePrivate(t, true, o.Requests("/end")[0])
}

// As in net/http, a user that it puts into the URL becomes basic auth.
func TestTheCallersCheckRedirectMaySayWhoWeAre(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/end", []byte("x"), testorigin.RequireBasicAuth("me", "pass"))
	client := newClient(t)
	client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		r.URL.User = url.UserPassword("me", "pass")
		return nil
	}
	_, _, err := get(t, o.Serve("/start", nil, testorigin.Redirect("/end", 302)), withClient(client))
	require.NoError(t, err)
}

func TestTheCallersCheckRedirectRefuses(t *testing.T) {
	o := testorigin.New(t)
	start := o.Serve("/start", nil, testorigin.Redirect("/end", 302))
	client := newClient(t)
	mine := errors.New("not there")
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return mine }
	_, _, err := get(t, start, withClient(client))
	failed := requireFailure(t, err, mine)
	require.Equal(t, "follow redirect", failed.Op)
	require.NotContains(t, err.Error(), "\n")
	require.Zero(t, o.Count("/end"))

	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	_, _, err = get(t, start, withClient(client))
	requireStatus(t, err, 302)
	require.Zero(t, o.Count("/end"))
}

func TestOurRulesHoldBesideTheCallersCheckRedirect(t *testing.T) {
	o := testorigin.New(t)
	client := newClient(t)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
	_, _, err := get(t, o.Serve("/loop", nil, testorigin.RedirectLoop(302)), withClient(client))
	requireFailure(t, err, ErrTooManyRedirects)
}

func TestTheCookieJarWorksAcrossRedirects(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/end", []byte("x"))
	start := o.Serve("/start", nil, testorigin.Header("Set-Cookie", "jar=1; Path=/"), testorigin.Redirect("/end", 302))
	client := newClient(t)
	var err error
	client.Jar, err = cookiejar.New(nil)
	require.NoError(t, err)
	_, _, err = get(t, start, withClient(client), func(r *Request) { r.Header = http.Header{"Cookie": {"own=2"}} })
	require.NoError(t, err)
	require.Equal(t, "own=2; jar=1", o.Requests("/end")[0].Header.Get("Cookie"))
	_, _, err = get(t, start, withClient(client))
	require.NoError(t, err)
	require.Equal(t, "jar=1", o.Requests("/start")[1].Header.Get("Cookie"))
}
