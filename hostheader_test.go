package dlmanager

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

const hostSecret = "s3cret-of-a-host"

// hostHeaderFor gives a secret for an origin.
func hostHeaderFor(o *testorigin.Origin) DownloadOption {
	return WithHostHeader(o.URL(""), "x-token", hostSecret)
}

// tokensAt returns what the origin got.
func tokensAt(o *testorigin.Origin, path string) []string {
	var all []string
	for _, r := range o.Requests(path) {
		all = append(all, r.Header.Get("X-Token"))
	}
	return all
}

func TestAHostsHeaderGoesToItWhateverLeadsThere(t *testing.T) {
	url, mirror, standIn := testorigin.New(t), testorigin.New(t), testorigin.New(t)
	url.Serve("/file", nil, testorigin.Status(404, ""))
	mirror.Serve("/file", []byte("x"))
	mirror.Serve("/sums", []byte(sha256Of("x")[7:]+"  file\n"))
	for _, asked := range []*testorigin.Origin{url, mirror, standIn} {
		before := map[*testorigin.Origin]int{url: url.Count("/file"), mirror: mirror.Count("/file"), standIn: standIn.Count("/file")}
		d := newManager(t, hostHeaderFor(asked)).Download(url.URL("/file"), "file",
			WithRewrite(url.URL(""), standIn.URL("")), WithMirrors(mirror.URL("/file")), WithChecksum(mirror.URL("/sums")))
		require.NoError(t, d.Wait())
		for o, n := range before {
			want := ""
			if o == asked {
				want = hostSecret
			}
			assert.Equal(t, []string{want}, tokensAt(o, "/file")[n:])
		}
	}
	assert.Equal(t, []string{"", hostSecret, ""}, tokensAt(mirror, "/sums"))
}

func TestAHostsHeaderFollowsNoRedirectToAnotherHostAndComesWithNone(t *testing.T) {
	secure, other := testorigin.New(t), testorigin.New(t)
	other.Serve("/file", []byte("x"))
	secure.Serve("/file", []byte("x"))
	out := secure.Serve("/out", nil, testorigin.Redirect(other.URL("/file"), 302))
	alt := secure.Serve("/alt", nil, testorigin.Redirect(secure.AltURL("/file"), 302))
	in := other.Serve("/in", nil, testorigin.Redirect(secure.URL("/file"), 302))
	within := secure.Serve("/within", nil, testorigin.Redirect("/file", 302))
	m := newManager(t, hostHeaderFor(secure))
	for i, url := range []string{out, alt, in, within} {
		require.NoError(t, m.Download(url, string(rune('a'+i))).Wait())
	}
	assert.Equal(t, []string{""}, tokensAt(other, "/file"))
	assert.Equal(t, []string{""}, tokensAt(other, "/in"))
	assert.Equal(t, []string{hostSecret}, tokensAt(secure, "/out"))
	assert.Equal(t, []string{"", "", hostSecret}, tokensAt(secure, "/file"), "by another name, from elsewhere, its own")
}

func TestAHostWithoutASchemeMeansHTTPS(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("x"))
	host := strings.TrimPrefix(o.URL(""), "http://")
	require.NoError(t, newManager(t, WithHostHeader(host, "X-Token", hostSecret)).Download(url, "file").Wait())
	assert.Equal(t, []string{""}, tokensAt(o, "/file"))

	secure := testorigin.NewTLS(t)
	url = secure.Serve("/file", []byte("x"))
	host = strings.TrimPrefix(secure.URL(""), "https://")
	for _, h := range []string{host, secure.URL("/"), "HTTPS://" + host} {
		require.NoError(t, newManager(t, WithHostHeader(h, "X-Token", hostSecret), WithHTTPClient(secure.Client())).Download(url, "file").Wait())
	}
	assert.Equal(t, []string{hostSecret, hostSecret, hostSecret}, tokensAt(secure, "/file"))
}

func TestWhatIsNoHostIsRefused(t *testing.T) {
	for _, host := range []string{"", "https://", "h/path", "h?q", "u:s3cret@h", "ftp://h", "h h", "https://h/#s3cret"} {
		err := CheckHost(host)
		require.Error(t, err, host)
		require.NotContains(t, err.Error(), "s3cret")
		require.Error(t, newManager(t).Download("https://h/x", "x", WithHostHeader(host, "K", "V")).Wait())
	}
	require.NoError(t, CheckHost("[::1]:8080"))
}

func TestWhatIsGivenForTheURLOutranksItsHosts(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("x"))
	netrc := filepath.Join(t.TempDir(), "netrc")
	require.NoError(t, os.WriteFile(netrc, []byte("machine 127.0.0.1 login user password word"), 0o600))
	m := newManager(t, hostHeaderFor(o), WithHostHeader(o.URL(""), "Authorization", "Bearer b"), WithNetrc(netrc))
	require.NoError(t, m.Download(url, "a", WithHeader("X-Token", "own")).Wait())
	require.NoError(t, m.Download(url, "b", WithHostHeader(o.URL(""), "X-Other", "o")).Wait())
	got := o.Requests("/file")
	assert.Equal(t, []string{"own"}, got[0].Header.Values("X-Token"))
	assert.Equal(t, []string{hostSecret}, got[1].Header.Values("X-Token"))
	assert.Equal(t, "o", got[1].Header.Get("X-Other"))
	for _, r := range got {
		assert.Equal(t, "Bearer b", r.Header.Get("Authorization"), "which the netrc file does not outrank")
	}
	assert.Empty(t, got[0].Header.Get("X-Other"), "what one download was given is not the manager's")
}

func TestAHeadersFunctionIsAskedForItsHostAlone(t *testing.T) {
	o, other := testorigin.New(t), testorigin.New(t)
	var calls atomic.Int32
	broken := errors.New("no token today")
	given := WithHostHeaderFunc(o.URL(""), func(context.Context) (http.Header, error) {
		if calls.Add(1) == 1 {
			return http.Header{"x-token": {hostSecret}}, nil
		}
		return nil, broken
	})
	m := newManager(t, given)
	require.NoError(t, m.Download(other.Serve("/file", []byte("x")), "other").Wait())
	assert.Zero(t, calls.Load())
	require.NoError(t, m.Download(o.Serve("/file", []byte("x")), "file").Wait())
	assert.Equal(t, []string{hostSecret}, tokensAt(o, "/file"))
	err := m.Download(o.URL("/file"), "again").Wait()
	require.ErrorIs(t, err, broken)
	failed, ok := errors.AsType[*HostHeaderError](err)
	require.True(t, ok)
	assert.Equal(t, o.URL(""), failed.Host)
	assert.Equal(t, 1, o.Count("/file"), "it is not asked without")
	panics := WithHostHeaderFunc(o.URL(""), func(context.Context) (http.Header, error) { panic("x") })
	require.Error(t, newManager(t, panics).Download(o.URL("/file"), "file").Wait())
	require.Error(t, m.Wait())
}

func TestAHostsHeaderIsNowhereToBeSeen(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 4*mib, tagged, testorigin.CutAfter(2*mib))
	echo := o.Serve("/echo", nil, testorigin.Status(400, "you sent "+hostSecret), testorigin.ContentType("text/plain"))
	dir := filepath.Join(t.TempDir(), "cache")
	var log bytes.Buffer
	m, err := NewDownloadManager(dir, hostHeaderFor(o), WithStrategy(Once{}), WithConnections(1),
		WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	require.NoError(t, err)
	require.Error(t, m.Download(url, "file").Wait(), "it leaves a record")
	failed := m.Download(echo, "echo").Wait()
	require.ErrorContains(t, failed, "you sent xxxxx")
	require.NoError(t, m.Close())
	assert.NotContains(t, log.String(), hostSecret)
	records := 0
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		records++
		text, err := os.ReadFile(path)
		assert.NotContains(t, string(text), hostSecret, path)
		return err
	}))
	assert.Greater(t, records, 2)
}
