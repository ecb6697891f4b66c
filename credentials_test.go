package dlmanager

import (
	"bytes"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

const (
	netrcUser = "netrc-user"
	netrcWord = "s3cret-word"
)

// netrcFile returns the path of a new netrc file.
func netrcFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "netrc")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// netrcOf returns a file with the right credentials for the origin.
func netrcOf(t testing.TB) string {
	return netrcFile(t, "machine 127.0.0.1 login "+netrcUser+" password "+netrcWord+"\n")
}

// everythingIn returns the contents of all files below dir.
func everythingIn(t testing.TB, dir string) (all string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, e iofs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			all += readFile(t, path)
		}
		return err
	}))
	return all
}

func TestCredentialsFromNetrc(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	var log bytes.Buffer
	logger := WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	m := managerAt(t, dir, logger, WithNetrc(netrcOf(t)), WithStrategy(atOnce(2)))
	url := o.Serve("/file", []byte("x"), testorigin.RequireBasicAuth(netrcUser, netrcWord),
		testorigin.Sequence(testorigin.Status(503, "busy"), testorigin.OK()))
	d := m.Download(url, "")
	require.NoError(t, d.Wait())
	assert.Equal(t, url, d.URL())
	require.NoError(t, m.Download(url, "").Wait(), "the same resource as without")
	assert.Equal(t, 2, o.Count("/file"))

	refused := m.Download(o.Serve("/refused", nil, testorigin.RequireBasicAuth("another", "one")), "refused")
	require.Error(t, refused.Wait())
	require.Contains(t, everythingIn(t, dir), "127.0.0.1", "there is a record of it")
	shown := log.String() + refused.Err().Error() + d.Result().FinalURL + everythingIn(t, dir)
	assert.NotContains(t, shown, netrcUser)
	assert.NotContains(t, shown, netrcWord)
	require.Error(t, m.Wait())
}

func TestWhoSaysWhoHeIsNeedsNoNetrc(t *testing.T) {
	o := testorigin.New(t)
	bad := WithNetrc(netrcFile(t, "a file with mistakes"))
	fetch := func(url string, opts ...DownloadOption) error {
		return NewDownload(url, filepath.Join(t.TempDir(), "file"), append(opts, bad)...).Wait()
	}
	url := o.Serve("/file", []byte("x"))
	require.NoError(t, fetch("http://me:word@"+url[len("http://"):]))
	require.NoError(t, fetch(url, WithHeader("authorization", "Bearer abc")))
	requests := o.Requests("/file")
	assert.Equal(t, "me", requests[0].User)
	assert.Equal(t, "Bearer abc", requests[1].Header.Get("Authorization"))
	require.Error(t, fetch(url))
}

func TestNetrcCredentialsStayWithTheirHost(t *testing.T) {
	o, other := testorigin.New(t), testorigin.New(t)
	fetch := func(url string) {
		require.NoError(t, NewDownload(url, filepath.Join(t.TempDir(), "file"), WithNetrc(netrcOf(t))).Wait())
	}
	auth := testorigin.RequireBasicAuth(netrcUser, netrcWord)
	file := o.Serve("/file", []byte("x"), auth)
	fetch(o.Serve("/near", nil, auth, testorigin.Redirect(file, 302)))

	elsewhere := other.Serve("/file", []byte("x"))
	fetch(o.Serve("/away", nil, auth, testorigin.Redirect(elsewhere, 302)))
	assert.Empty(t, other.Requests("/file")[0].Header.Get("Authorization"), "although its name has an entry, too")

	back := o.Serve("/back", []byte("x"))
	fetch(o.Serve("/around", nil, auth, testorigin.Redirect(other.Serve("/to", nil, testorigin.Redirect(back, 302)), 302)))
	assert.Empty(t, o.Requests("/back")[0].Header.Get("Authorization"), "gone for good")
}

func TestNoNetrcIsNoFailure(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("x"))
	for _, path := range []string{"", os.DevNull, filepath.Join(t.TempDir(), "missing"), netrcFile(t, ""), netrcFile(t, "machine h login a password b")} {
		require.NoError(t, NewDownload(url, filepath.Join(t.TempDir(), "file"), WithNetrc(path)).Wait(), path)
	}
	for _, r := range o.Requests("/file") {
		assert.Empty(t, r.Header.Get("Authorization"))
	}
}

func TestANetrcFileThatCannotBeReadFailsTheDownload(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("x"))
	large := netrcFile(t, "")
	require.NoError(t, os.Truncate(large, maxNetrc+1))
	m := newManager(t)
	for path, reason := range map[string]string{
		netrcFile(t, "machine h\nlogin "+netrcUser+" "+netrcWord): "line 2: a word that is no keyword; values with spaces need double quotes",
		t.TempDir(): errNoNetrc.Error(),
		large:       errNoNetrc.Error(),
	} {
		d := m.Download(url, "file", WithNetrc(path))
		require.EqualError(t, d.Wait(), "read netrc file "+path+": "+reason)
		assert.False(t, IsTemporary(d.Err()))
	}
	assert.Zero(t, o.Count("/file"))
	require.NoError(t, m.Download(url, "file").Wait())
	broken := netrcFile(t, "s3cret")
	require.NoError(t, m.Download(url, "file", WithNetrc(broken)).Wait(), "it is there: nobody is asked")
	require.Error(t, m.Wait())
}

func TestTheNetrcFileIsReadOnce(t *testing.T) {
	o := testorigin.New(t)
	path := netrcOf(t)
	url := o.Serve("/file", []byte("x"), testorigin.RequireBasicAuth(netrcUser, netrcWord),
		testorigin.Sequence(testorigin.CutAfter(0), testorigin.OK()))
	d := NewDownload(url, filepath.Join(t.TempDir(), "file"), WithNetrc(path), WithStrategy(atOnce(2)), WithHooks(Hooks{
		Retrying: func(*Download, Attempt, time.Duration) {
			assert.NoError(t, os.WriteFile(path, []byte("s3cret"), 0o600))
		},
	}))
	require.NoError(t, d.Wait())
	assert.Equal(t, 2, o.Count("/file"))
}

func TestDownloadsShareTheNetrcFileForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := netrcFile(t, "machine h login one password p")
		s := &netrcSource{path: path}
		read := func() string {
			file, err := s.read(afero.NewOsFs())
			require.NoError(t, err)
			login, _, _ := file.Lookup("h")
			return login
		}
		require.Equal(t, "one", read())
		require.NoError(t, os.WriteFile(path, []byte("machine h login two password p"), 0o600))
		assert.Equal(t, "one", read())
		time.Sleep(netrcFresh - time.Nanosecond)
		assert.Equal(t, "one", read())
		time.Sleep(time.Nanosecond)
		assert.Equal(t, "two", read(), "what was changed is noticed")

		require.NoError(t, os.WriteFile(path, []byte("mistake"), 0o600))
		time.Sleep(netrcFresh)
		_, err := s.read(afero.NewOsFs())
		require.Error(t, err)
		require.NoError(t, os.WriteFile(path, []byte("machine h login three password p"), 0o600))
		assert.Equal(t, "three", read(), "a failure is not remembered")
	})
}

// opens counts how often a path was opened.
type opens struct {
	afero.Fs
	path string
	n    atomic.Int64
}

func (f *opens) Open(name string) (afero.File, error) {
	if name == f.path {
		f.n.Add(1)
	}
	return f.Fs.Open(name)
}

func TestManyDownloadsDoNotReadTheNetrcFileEach(t *testing.T) {
	fsys := &opens{Fs: afero.NewOsFs(), path: netrcOf(t)}
	inAFakeWorld(t, func(t *testing.T, _ *fakeServer, m *DownloadManager) {
		for n := range 50 {
			require.NoError(t, m.Download("http://h/file", fmt.Sprint(n)).Wait())
		}
		assert.EqualValues(t, 1, fsys.n.Load(), "all of them took no time")
	}, WithFs(fsys), WithNetrc(fsys.path))
}

func TestTheNetrcFileIsInTheFileSystemThatWasGiven(t *testing.T) {
	o := testorigin.New(t)
	fsys := afero.NewMemMapFs()
	require.NoError(t, afero.WriteFile(fsys, "/netrc", []byte("default login "+netrcUser+" password "+netrcWord), 0o600))
	url := o.Serve("/file", []byte("x"), testorigin.RequireBasicAuth(netrcUser, netrcWord))
	require.NoError(t, NewDownload(url, "/file", WithFs(fsys), WithNetrc("/netrc")).Wait())
}

func TestDefaultNetrcPath(t *testing.T) {
	t.Setenv("NETRC", "/some/file")
	assert.Equal(t, "/some/file", DefaultNetrcPath())
}
