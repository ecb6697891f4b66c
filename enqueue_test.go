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

func TestAnEnqueuedFileIsFetched(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	gate := make(chan struct{})
	d := m.Enqueue(o.Serve("/file", []byte("x"), testorigin.Gate(gate)), "name")
	assert.Same(t, d, m.Enqueue(o.URL("/file"), "name"))
	close(gate)
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginFetched, d.Result().Origin)
	assert.Equal(t, 1, o.Count("/file"))
}

// What is there is found without a request, whatever keeps it from being fetched.
func TestWhatIsEnqueuedMayBeThere(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, m *DownloadManager) (undo func())
		opts    []DownloadOption
	}{
		"":        {},
		"offline": {opts: []DownloadOption{WithOffline()}},
		"its partial file is held": {prepare: func(t *testing.T, m *DownloadManager) func() {
			spot, err := m.dir.Spot("sub/name")
			require.NoError(t, err)
			partial, err := spot.Create(0o666, nil)
			require.NoError(t, err)
			return func() { require.NoError(t, partial.Cancel()) }
		}},
		"its folder is a link": {prepare: func(t *testing.T, m *DownloadManager) func() {
			require.NoError(t, os.Rename(m.dir.Path("sub"), m.dir.Path("other")))
			require.NoError(t, os.Symlink("other", m.dir.Path("sub")))
			return func() {}
		}},
		"there is one whose name is too much like it": {prepare: func(t *testing.T, m *DownloadManager) func() {
			require.NoError(t, os.WriteFile(m.dir.Path("sub/NAME"), []byte("x"), 0o666))
			return func() {}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			dir := filepath.Join(t.TempDir(), "cache")
			m := managerAt(t, dir)
			require.NoError(t, m.Download(o.Serve("/file", []byte("x")), "sub/name").Wait())
			if c.prepare != nil {
				defer c.prepare(t, m)()
			}
			var log strings.Builder
			d := managerAt(t, dir, WithLogger(textLogger(&log))).Enqueue(o.URL("/file"), "sub/name", c.opts...)
			require.NoError(t, d.Wait())
			assert.NotContains(t, log.String(), "level=WARN")
			assert.Equal(t, OriginCached, d.Result().Origin)
			assert.Zero(t, d.Result().Elapsed)
			assert.Equal(t, 1, o.Count("/file"))
		})
	}
}

func TestWhatIsEnqueuedAndThereDoesNotWaitForAPlace(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithMaxConcurrent(1))
	require.NoError(t, m.Download(o.Serve("/file", []byte("x")), "name").Wait())
	slow := m.Download(o.Serve("/slow", nil, testorigin.Silent()), "slow")
	<-o.Arrived("/slow", 1)
	d := m.Enqueue(o.URL("/file"), "name")
	assert.False(t, d.IsRunning())
	require.NoError(t, d.Err())
	missing := m.Enqueue(o.Serve("/missing", []byte("x")), "missing")
	assert.Equal(t, StateQueued, missing.Progress().State)
	slow.Cancel()
	require.ErrorIs(t, slow.Wait(), ErrCanceled)
	require.NoError(t, missing.Wait())
}

func TestWhatIsEnqueuedOfflineIsNotFetched(t *testing.T) {
	d := newManager(t).Enqueue("http://h.example/file", "name", WithOffline())
	require.ErrorIs(t, d.Wait(), ErrNotCached)
}

// What an earlier download left stays as it does when the file is looked for first.
func TestWhatIsEnqueuedLeavesAPartialFileOfAnotherVersion(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 4*mib, tagged, testorigin.Sequence(
		testorigin.All(testorigin.Size(1000), testorigin.ETag(`"v0"`)), testorigin.CutAfter(2*mib), testorigin.OK()))
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir, WithStrategy(Once{}), WithConnections(1))
	require.NoError(t, m.Download(url, "file").Wait())
	require.Error(t, m.Download(url, "file", WithForce()).Wait())
	before := m.Stats()

	m = managerAt(t, dir, WithConnections(1))
	d := m.Enqueue(url, "file")
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginCached, d.Result().Origin)
	after := m.Stats()
	assert.Equal(t, before.Bytes, after.Bytes)
	assert.Zero(t, after.Reserved)
	d = m.Enqueue(url, "file", always)
	require.NoError(t, d.Wait())
	assert.EqualValues(t, 2*mib, d.Result().ResumedFrom)
	requireSame(t, 4*mib, d.Dest())
	requireNothingUnfinished(t, dir)
}

func TestWhatIsEnqueuedAndThereNeedsNoChecksumFile(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("x"))
	o.Serve("/sums", []byte(sha256Of("x")[7:]+"  file\n"))
	m := newManager(t, WithChecksum(o.URL("/sums")))
	require.NoError(t, m.Download(url, "file").Wait())
	d := m.Enqueue(url, "file")
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginCached, d.Result().Origin)
	assert.Equal(t, 1, o.Count("/sums"))
}

func TestWhatIsEnqueuedAndThereMakesNobodyWait(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	require.NoError(t, managerAt(t, dir).Download(o.Serve("/file", []byte("x")), "name").Wait())
	m := managerAt(t, dir, WithRequestDelay(time.Hour))
	require.NoError(t, m.Enqueue(o.URL("/file"), "name").Wait())
	require.NoError(t, m.Download(o.Serve("/other", []byte("x")), "other").Wait())
}
