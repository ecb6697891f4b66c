package dlmanager

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestWhichDirectoryIsAHit(t *testing.T) {
	type call struct {
		path, name string
		opts       []DownloadOption
		err        error
		fills      int32 // so far
	}
	for title, calls := range map[string][]call{
		"a name is the identity": {
			{path: "/a", name: "tools", fills: 1},
			{path: "/b", name: "tools", fills: 1},
		},
		"a derived name is a label": {
			{path: "/v1/a", fills: 1},
			{path: "/v1/a", fills: 1},
			{path: "/v2/a", err: ErrNameTaken, fills: 1},
			{path: "/v2/a", name: "a", fills: 1},
		},
		"checksum": {
			{path: "/a", name: "tools", fills: 1},
			{path: "/a", name: "tools", opts: []DownloadOption{WithChecksum(sha256Of("content of /a"))}, fills: 1},
			{path: "/b", name: "tools", opts: []DownloadOption{WithChecksum(sha256Of("content of /b"))}, fills: 2},
			{path: "/b", name: "tools", opts: []DownloadOption{WithChecksum(sha256Of("wrong"))}, err: ErrChecksum, fills: 2},
			{path: "/b", name: "tools", fills: 2},
		},
		"another algorithm": {
			{path: "/a", name: "tools", fills: 1},
			{path: "/a", name: "tools", opts: []DownloadOption{WithChecksum(sha512Of("content of /a"))}, fills: 2},
			{path: "/a", name: "tools", opts: []DownloadOption{WithChecksum(sha512Of("content of /a"))}, fills: 2},
		},
		"force": {
			{path: "/a", name: "tools", fills: 1},
			{path: "/a", name: "tools", opts: []DownloadOption{WithForce()}, fills: 2},
		},
		"offline": {
			{path: "/a", name: "tools", opts: []DownloadOption{WithOffline()}, err: ErrNotCached},
			{path: "/a", name: "tools", fills: 1},
			{path: "/a", name: "tools", opts: []DownloadOption{WithOffline()}, fills: 1},
		},
		"invalid name": {
			{path: "/a", name: "../tools", err: ErrInvalidName},
			{path: "/a", name: "tools/", err: ErrInvalidName},
		},
	} {
		t.Run(title, func(t *testing.T) {
			o := testorigin.New(t)
			for _, path := range []string{"/a", "/b", "/v1/a", "/v2/a"} {
				o.Serve(path, []byte("content of "+path))
			}
			m := newManager(t)
			fill, fills := counted(spread)
			for i, c := range calls {
				d, err := m.GetDir(t.Context(), o.URL(c.path), c.name, fill, c.opts...)
				require.ErrorIs(t, err, c.err, "call %d", i)
				if c.err == nil {
					require.NoError(t, d.Close())
				}
				assert.Equal(t, c.fills, fills.Load(), "call %d", i)
			}
		})
	}
}

func TestADirectoryIsHeldAgainstTheLockFile(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/archive", []byte("program"))
	m := newManager(t)
	path := filepath.Join(t.TempDir(), "dlm.lock")
	require.NoError(t, os.WriteFile(path, nil, 0o666))
	fill, fills := counted(spread)
	get := func(name string, o LockOptions) error {
		lock, err := OpenLockFile(path, o)
		require.NoError(t, err)
		d, err := m.GetDir(t.Context(), url, name, fill, WithLockFile(lock))
		if err != nil {
			return err
		}
		return d.Close()
	}
	require.ErrorIs(t, get("tools", LockOptions{Frozen: true}), ErrNotLocked)
	d, err := m.GetDir(t.Context(), url, "tools", fill)
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.NoError(t, get("tools", LockOptions{}))
	assert.EqualValues(t, 1, fills.Load())
	assert.Contains(t, readFile(t, path), sha256Of("program")[len("sha256:"):], "what is there is recorded, too")
	require.NoError(t, get("tools", LockOptions{Frozen: true}))

	require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(readFile(t, path), sha256Of("program")[len("sha256:"):], sha256Of("other")[len("sha256:"):])), 0o666))
	require.ErrorIs(t, get("tools", LockOptions{Frozen: true}), ErrChecksum)
	assert.EqualValues(t, 1, fills.Load())
}

func TestFreshDirectories(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/archive", nil, testorigin.ETag(`"v"`), testorigin.Sequence(
		testorigin.Body([]byte("old")), testorigin.Body([]byte("old")), testorigin.Body([]byte("new")), testorigin.Status(500, "down")))
	m := newManager(t)
	fill, fills := counted(spread)
	for i, want := range []struct {
		content string
		fills   int32
		opts    []DownloadOption
		stale   bool
	}{
		{content: "old", fills: 1, opts: []DownloadOption{WithFreshness(FreshFor(0))}},
		{content: "old", fills: 1, opts: []DownloadOption{WithFreshness(FreshFor(time.Hour))}},
		{content: "old", fills: 1, opts: []DownloadOption{WithFreshness(FreshFor(0))}}, // the same archive came
		{content: "new", fills: 2, opts: []DownloadOption{WithFreshness(FreshFor(0))}},
		{content: "new", fills: 2, opts: []DownloadOption{WithFreshness(FreshFor(0)), WithStaleIfError()}, stale: true},
	} {
		d, err := m.GetDir(t.Context(), url, "tools", fill, want.opts...)
		require.NoError(t, err, "call %d", i)
		requireContent(t, want.content, filepath.Join(d.Path(), "bin", "tool"))
		assert.Equal(t, want.fills, fills.Load(), "call %d", i)
		assert.Equal(t, want.stale, d.Result().Stale != nil, "call %d", i)
		require.NoError(t, d.Close())
	}
	_, err := m.GetDir(t.Context(), url, "tools", fill, WithFreshness(FreshFor(0)))
	require.Error(t, err)
	assert.Equal(t, 5, o.Count("/archive"))
}

func TestTheArchiveIsKeptOnRequest(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/archive", []byte("program"), tagged)
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir)
	d, err := m.GetDir(t.Context(), url, "tools", spread, WithArchive("archive.tar"))
	require.NoError(t, err)
	require.NoError(t, d.Close())
	f, err := m.Open("archive.tar")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, m.Remove("tools/"))
	d, err = m.GetDir(t.Context(), url, "tools", spread, WithArchive("archive.tar"))
	require.NoError(t, err)
	require.NoError(t, d.Close())
	assert.Equal(t, 1, o.Count("/archive"), "it was there")
	d, err = m.GetDir(t.Context(), url, "tools", spread, WithArchive("archive.tar"), WithFreshness(FreshFor(0)))
	require.NoError(t, err)
	assert.Equal(t, OriginRevalidated, d.Result().Origin)
	assert.Zero(t, d.Result().WireBytes)
	require.NoError(t, d.Close())
	requireTidy(t, dir, 1)
}
