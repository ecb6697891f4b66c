package dlmanager

import (
	"context"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestWhatARewriteMakesOfAURL(t *testing.T) {
	const mirror = "https://mirror.corp/gh/"
	for _, c := range []struct{ from, to, url, want string }{
		{"https://github.com/", mirror, "https://github.com/a/b?c=d", "https://mirror.corp/gh/a/b?c=d"},
		{"https://github.com", mirror, "https://github.com", "https://mirror.corp/gh/"},
		{"https://github.com", "https://mirror.corp", "https://GitHub.com:443/a", "https://mirror.corp/a"},
		{"https://github.com/", mirror, "https://github.com.evil/a", ""},
		{"https://github.com/", mirror, "https://evil@github.com/a#f", "https://mirror.corp/gh/a"},
		{"https://github.com/", mirror, "https://github.com:8443/a", ""},
		{"https://github.com/", mirror, "http://github.com/a", ""},
		{"http://h:80", mirror, "https://h/a", ""},
		{"https://h/org", mirror, "https://h/organ/a", ""},
		{"https://h/org", mirror, "https://h/org", "https://mirror.corp/gh"},
		{"https://h/org/", mirror, "https://h/org/", "https://mirror.corp/gh/"},
		{"https://h/org/", mirror, "https://h/%6Frg/a%2Fb", "https://mirror.corp/gh/a%2Fb"},
		{"https://h/a/b", mirror, "https://h/a%2Fb", ""},
		{"https://h/org/", mirror, "https://h/org/../other", ""},
		{"https://h/org/", mirror, "https://h/org/%2e%2e/other", ""},
		{"https://h/org/", mirror, "https://h/other/../org/./x/", "https://mirror.corp/gh/x/"},
		{"https://h/org/", mirror, "https://h/org/..%2fother", ""},
		{"https://h/org/", mirror, "https://h/org/a/x%5C..%5c..%5Cother", ""},
		{"https://h/org/", mirror, "https://h/org/..;v=1/other", ""},
		{"https://h/org/", mirror, "https://h/org/a..b%2F...;c", "https://mirror.corp/gh/a..b%2F...;c"},
		{"https://h/", mirror, "https://h/../../x", "https://mirror.corp/gh/x"},
		{"https://h/", mirror, "https://h/a/..", "https://mirror.corp/gh/"},
		{"https://h/", "https://u:p@m", "https://h/a?", "https://u:p@m/a?"},
	} {
		r := newRewrite(c.from, c.to)
		require.NoError(t, r.err)
		u, err := url.Parse(c.url)
		require.NoError(t, err)
		got, _, ok := r.apply(u)
		assert.Equal(t, c.want != "", ok, "%s by %s", c.url, c.from)
		if ok {
			assert.Equal(t, c.want, got.String(), "%s by %s", c.url, c.from)
		}
	}
}

func TestARewriteThatIsNone(t *testing.T) {
	for _, c := range [][2]string{
		{"github.com/", "https://m/"},
		{"https://h/", "ftp://m/"},
		{"https://h/?q=s3cret", "https://m/"},
		{"https://h/", "https://m/#s3cret"},
		{"https://u:s3cret@h/", "https://m/"},
		{"", ""},
	} {
		err := CheckRewrite(c[0], c[1])
		require.Error(t, err, c)
		require.NotContains(t, err.Error(), "s3cret")
		require.ErrorContains(t, newManager(t).Download("https://h/x", "x", WithRewrite(c[0], c[1])).Wait(), err.Error())
	}
}

func TestTheLongestPrefixWinsAndOfEqualOnesTheLast(t *testing.T) {
	c := defaultDownloadConfig()
	for _, o := range []DownloadOption{
		WithRewrite("https://h/a/b/", "https://long/"), WithRewrite("https://h/", "https://short/"),
		WithRewrite("https://h/", "https://last/"), WithRewrite("https://h/mine/", "https://h/mine/"),
	} {
		o.applyDownload(&c)
	}
	for from, want := range map[string][]string{
		"https://h/a/b/c":  {"https://long/c", "https://h/a/b/c"},
		"https://h/a/c":    {"https://last/a/c", "https://h/a/c"},
		"https://h/mine/x": {"https://h/mine/x"},
		"https://i/x":      {"https://i/x"},
	} {
		u, err := url.Parse(from)
		require.NoError(t, err)
		var got []string
		for _, s := range c.sourcesOf(u) {
			got = append(got, s.url.String())
		}
		assert.Equal(t, want, got)
	}
}

// FuzzRewrite wants nothing that stands in to lie outside of where it should.
func FuzzRewrite(f *testing.F) {
	f.Add("https://h/org/../x")
	f.Add("https://h/org/%2e%2E/x/..")
	f.Add("https://h/org//..//x?a#b")
	r := newRewrite("https://h/org/", "https://m/gh/")
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := parseURL(raw)
		if err != nil {
			return
		}
		to, _, ok := r.apply(u)
		if !ok {
			return
		}
		again, err := url.Parse(to.String())
		require.NoError(t, err)
		require.Equal(t, "m", again.Host)
		resolved := again.ResolveReference(&url.URL{})
		decoded, _ := splitPath(resolved)
		require.Equal(t, "gh", decoded[0])
		require.Equal(t, u.RawQuery, again.RawQuery)
	})
}

// rewriting has an origin and a mirror of it below /gh/.
type rewriting struct {
	origin, mirror *testorigin.Origin
	to             DownloadOption
}

func newRewriting(t *testing.T) rewriting {
	r := rewriting{origin: testorigin.New(t), mirror: testorigin.New(t)}
	r.to = WithRewrite(r.origin.URL("/"), r.mirror.URL("/gh"))
	return r
}

func TestTheMirrorIsAskedFirstAndTheOriginStaysTheIdentity(t *testing.T) {
	r := newRewriting(t)
	url := r.origin.Serve("/tool", []byte("x"))
	from := r.mirror.Serve("/gh/tool", []byte("x"))
	m := newManager(t, r.to)
	d := m.Download(url+"?sig=s3cret", "")
	require.NoError(t, d.Wait())
	assert.Equal(t, "tool", filepath.Base(d.Dest()))
	assert.Zero(t, r.origin.Count("/tool"))
	require.Equal(t, 1, r.mirror.Count("/gh/tool"))
	assert.Equal(t, "sig=s3cret", r.mirror.Requests("/gh/tool")[0].RawQuery)
	assert.Equal(t, from+"?sig=xxxxx", d.Result().Source)
	assert.Equal(t, from+"?sig=xxxxx", d.Result().FinalURL)
	require.ErrorIs(t, m.Download(from+"?sig=s3cret", "").Wait(), ErrNameTaken, "what stands in is not what it is")
	again := m.Download(url+"?sig=s3cret", "")
	require.NoError(t, again.Wait())
	assert.Equal(t, OriginCached, again.Result().Origin)
	assert.Empty(t, again.Result().Source)
	require.Error(t, m.Wait())
}

func TestTheOriginIsAskedWhenWhatStandsInFails(t *testing.T) {
	for name, c := range map[string]struct {
		fails testorigin.Option
		opts  []DownloadOption
	}{
		"not found":     {testorigin.Status(404, ""), nil},
		"busy":          {testorigin.Status(503, ""), []DownloadOption{WithStrategy(noWait{})}},
		"dropped":       {testorigin.Drop(), []DownloadOption{WithStrategy(noWait{})}},
		"other content": {testorigin.Body([]byte("evil")), []DownloadOption{WithChecksum(sha256Of("x"))}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRewriting(t)
			url := r.origin.Serve("/file", []byte("x"))
			r.mirror.Serve("/gh/file", nil, c.fails)
			d := newManager(t, r.to).Download(url, "file", c.opts...)
			require.NoError(t, d.Wait())
			requireContent(t, "x", d.Dest())
			assert.Equal(t, 1, r.mirror.Count("/gh/file"), "it is not asked again")
			assert.Equal(t, url, d.Result().Source)
		})
	}
}

func TestNobodyWaitsForWhatStandsIn(t *testing.T) {
	r := newRewriting(t)
	m := newManager(t, r.to, WithStrategy(Patient{}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, path := range []string{"/a", "/b"} {
		r.mirror.Serve("/gh"+path, nil, testorigin.Status(503, ""), testorigin.RetryAfter("3600"))
		require.NoError(t, m.Download(r.origin.Serve(path, []byte("x")), path[1:]).WaitContext(ctx), "it does not wait for an hour")
		assert.Equal(t, 1, r.mirror.Count("/gh"+path))
	}
}

func TestWhatHasSentSomethingIsAskedForTheRest(t *testing.T) {
	r := newRewriting(t)
	url := r.origin.ServeSize("/file", 4*mib, tagged)
	r.mirror.ServeSize("/gh/file", 4*mib, tagged, testorigin.Sequence(testorigin.CutAfter(2*mib), testorigin.OK()))
	d := newManager(t, r.to).Download(url, "file", WithStrategy(noWait{}))
	require.NoError(t, d.Wait())
	requireSame(t, 4*mib, d.Dest())
	assert.Zero(t, r.origin.Count("/file"))
	assert.Equal(t, 2, r.mirror.Count("/gh/file"))
}

func TestTheOriginIsNotAskedWhereThatIsForbidden(t *testing.T) {
	r := newRewriting(t)
	url := r.origin.Serve("/file", []byte("x"))
	r.mirror.Serve("/gh/file", nil, testorigin.Status(404, ""))
	sums := r.origin.Serve("/sums", []byte(sha256Of("x")[7:]+"  file\n"))
	m := newManager(t, r.to, WithRewriteOnly())
	err := m.Download(url, "file").Wait()
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, r.mirror.URL("/gh/file"))
	require.ErrorIs(t, m.Download(url, "file", WithChecksum(sums)).Wait(), ErrNotFound)
	other := testorigin.New(t)
	require.NoError(t, m.Download(other.Serve("/other", []byte("y")), "other").Wait(), "no rewrite applies to it")
	for _, path := range []string{"/file", "/sums"} {
		assert.Zero(t, r.origin.Count(path), path)
	}
	require.Error(t, m.Wait())
}

func TestMirrorsAndChecksumFilesAreRewrittenRedirectsAreNot(t *testing.T) {
	r := newRewriting(t)
	first := testorigin.New(t)
	url := first.Serve("/file", nil, testorigin.Status(404, ""))
	second := r.origin.Serve("/file", []byte("x"))
	r.mirror.Serve("/gh/file", nil, testorigin.Redirect(r.origin.URL("/moved"), 302))
	r.origin.Serve("/moved", []byte("x"))
	sums := r.origin.Serve("/sums", []byte(sha256Of("x")[7:]+"  file\n"))
	d := newManager(t, r.to).Download(url, "file", WithMirrors(second), WithChecksum(sums))
	require.NoError(t, d.Wait())
	assert.Equal(t, 1, r.mirror.Count("/gh/sums"), "which is not there")
	assert.Equal(t, 1, r.origin.Count("/sums"))
	assert.Equal(t, 1, r.origin.Count("/moved"))
	assert.Zero(t, r.mirror.Count("/gh/moved"))
	assert.Zero(t, r.origin.Count("/file"))
	assert.Equal(t, r.mirror.URL("/gh/file"), d.Result().Source)
	assert.Equal(t, r.origin.URL("/moved"), d.Result().FinalURL)
}

func TestWhatStandsInGetsNoCredentialsOfTheOriginNorTheOtherWayRound(t *testing.T) {
	r := newRewriting(t)
	url := r.origin.Serve("/file", []byte("x"), testorigin.RequireBasicAuth("user", "s3cret"))
	r.mirror.Serve("/gh/file", nil, testorigin.Status(403, ""))
	to := WithRewrite(r.origin.URL("/"), "http://robot:hidden@"+r.mirror.URL("/gh")[len("http://"):])
	withUser := "http://user:s3cret@" + url[len("http://"):]
	d := newManager(t, to).Download(withUser, "file", WithHeader("X-Token", "t0ken"))
	require.NoError(t, d.Wait())
	atMirror, atOrigin := r.mirror.Requests("/gh/file")[0], r.origin.Requests("/file")[0]
	assert.Equal(t, "robot", atMirror.User)
	assert.Equal(t, "hidden", atMirror.Password)
	assert.Empty(t, atMirror.Header.Get("X-Token"))
	assert.Equal(t, "user", atOrigin.User)
	assert.Equal(t, "t0ken", atOrigin.Header.Get("X-Token"))

	err := newManager(t, to, WithRewriteOnly()).Download(withUser, "file").Wait()
	require.Error(t, err)
	for _, secret := range []string{"robot", "hidden", "s3cret"} {
		require.NotContains(t, err.Error(), secret)
	}
}

func TestWhoeverSentAFileIsAskedWhetherItIsCurrent(t *testing.T) {
	r := newRewriting(t)
	url := r.origin.Serve("/file", []byte("origin"), tagged)
	r.mirror.Serve("/gh/file", []byte("mirror"), tagged)
	m := newManager(t, WithFreshness(FreshFor(0)))
	require.NoError(t, m.Download(url, "file", r.to).Wait())
	d := m.Download(url, "file", r.to)
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginRevalidated, d.Result().Origin)
	assert.Zero(t, r.origin.Count("/file"))

	r.mirror.Serve("/gh/file", nil, testorigin.Status(500, ""))
	d = m.Download(url, "file", r.to, WithStaleIfError())
	require.NoError(t, d.Wait())
	require.NoError(t, d.Result().Stale, "the origin could be asked")
	requireContent(t, "origin", d.Dest())
	assert.Empty(t, r.origin.Requests("/file")[0].Header.Get("If-None-Match"), "the tag is another server's")
}
