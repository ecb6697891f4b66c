package dlmanager

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestNamesAreDerivedFromTheURL(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	o.Serve("/dir/a file.txt", []byte("1"))
	d := m.Download(o.URL("/dir/a%20file.txt?x=1#frag"), "")
	require.NoError(t, d.Wait())
	assert.Equal(t, "a file.txt", filepath.Base(d.Dest()))

	for _, url := range []string{o.URL("/"), o.URL(""), o.URL("/a/.."), o.URL("/a/%2e%2e"), o.URL("/a/b/")} {
		require.ErrorIs(t, m.Download(url, "").Wait(), ErrInvalidName, url)
	}
	for _, name := range []string{"..", "../x", "/etc/passwd", ".dlm/x", ".DLM/x", "a/../../b", `a\b`, "C:x", "CON", "a\x00b", "x.", "CACHEDIR.TAG"} {
		require.ErrorIs(t, m.Download(o.URL("/file"), name).Wait(), ErrInvalidName, name)
		_, err := m.Dest(name)
		require.ErrorIs(t, err, ErrInvalidName, name)
	}
	require.Error(t, m.Wait(), "they are failures")
}

func TestADerivedNameNeverTakesAnotherURLsFile(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/v1/sums.txt", []byte("one"))
	o.Serve("/v2/sums.txt", []byte("two"))
	o.Serve("/file", []byte("x"))
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir)
	require.NoError(t, m.Download(o.URL("/v1/sums.txt"), "").Wait())
	hit := m.Download(o.URL("/v1/sums.txt"), "")
	require.NoError(t, hit.Wait())
	assert.Equal(t, OriginCached, hit.Result().Origin)
	require.ErrorIs(t, m.Download(o.URL("/v2/sums.txt"), "").Wait(), ErrNameTaken)
	require.NoError(t, m.Download(o.URL("/file?id=1"), "").Wait())
	require.ErrorIs(t, m.Download(o.URL("/file?id=2"), "").Wait(), ErrNameTaken)
	named := m.Download(o.URL("/v2/sums.txt"), "sums.txt")
	require.NoError(t, named.Wait(), "a name that is given is the identity")
	assert.Equal(t, OriginCached, named.Result().Origin)
	requireContent(t, "one", named.Dest())
	require.Error(t, m.Wait())
	require.NoError(t, m.Close())

	again := managerAt(t, dir) // another process
	require.ErrorIs(t, again.Download(o.URL("/v2/sums.txt"), "").Wait(), ErrNameTaken)
	require.NoError(t, again.Download(o.URL("/v1/sums.txt"), "").Wait())
	assert.Equal(t, 1, o.Count("/v1/sums.txt"))

	require.NoError(t, os.Remove(filepath.Join(dir, ".dlm", "entries"))) // nothing is known of the file
	third := managerAt(t, dir)
	d := third.Download(o.URL("/v2/sums.txt"), "")
	require.NoError(t, d.Wait(), "then it is fetched, never taken for another's")
	requireContent(t, "two", d.Dest())
}

func TestADerivedNameInFlightIsNotJoinedByAnotherURL(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	o.Serve("/v1/sums.txt", []byte("one"), testorigin.Gate(gate))
	m := newManager(t)
	first := m.Download(o.URL("/v1/sums.txt"), "")
	assert.Same(t, first, m.Download(o.URL("/v1/sums.txt#part"), ""))
	require.ErrorIs(t, m.Download(o.URL("/v2/sums.txt"), "").Wait(), ErrNameTaken)
	assert.Same(t, first, m.Download(o.URL("/v2/sums.txt"), "sums.txt"))
	close(gate)
	require.NoError(t, first.Wait())
}

func TestADerivedNameLeavesSomebodysFileAlone(t *testing.T) {
	o := testorigin.New(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "thesis.tex"), []byte("mine"), 0o666))
	m := managerAt(t, dir)
	require.ErrorIs(t, m.Download(o.Serve("/thesis.tex", []byte("x")), "").Wait(), ErrNameTaken)
	requireContent(t, "mine", filepath.Join(dir, "thesis.tex"))
}

func TestTwinsAreRefused(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	m := newManager(t)
	d := m.Download(o.Serve("/file", []byte("x"), testorigin.Gate(gate)), "Tool")
	require.ErrorIs(t, m.Download(o.URL("/file"), "tool").Wait(), ErrNameTaken, "in flight")
	close(gate)
	require.NoError(t, d.Wait())
	require.ErrorIs(t, m.Download(o.URL("/file"), "tOOl").Wait(), ErrNameTaken, "on disk")
	require.NoError(t, m.Download(o.URL("/file"), "caf\u00e9").Wait())
	require.ErrorIs(t, m.Download(o.URL("/file"), "cafe\u0301").Wait(), ErrNameTaken, "Unicode form")
	assert.Equal(t, 2, o.Count("/file"))
}

func TestAFileWhereAFolderIsNeeded(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	url := o.Serve("/file", []byte("x"))
	require.NoError(t, m.Download(url, "a").Wait())
	require.Error(t, m.Download(url, "a/b").Wait())
	require.NoError(t, m.Download(url, "c/d").Wait())
	require.Error(t, m.Download(url, "c").Wait())
	assert.Equal(t, 2, o.Count("/file"), "nothing is fetched for nothing")
}
