package dlmanager

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// What is told of a file that is there does not depend on who is to be told.
func TestAHitIsTheSameWhoeverAsks(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	m := newManager(t)
	require.NoError(t, m.Download(url, "sub/file").Wait())
	for name, opts := range map[string][]DownloadOption{
		"nobody to tell":  {},
		"a header":        {WithHeader("A", "b")},
		"offline":         {WithOffline()},
		"progress":        {WithProgress(func(*Download, int64, int64) {})},
		"a mirror":        {WithMirrors(o.AltURL("/file"))},
		"a finished hook": {WithHooks(Hooks{Finished: func(*Download) {}})},
		"a bound of age":  {WithFreshness(FreshFor(time.Hour))},
	} {
		d := m.Download(url, "sub/file", opts...)
		assert.False(t, d.IsRunning(), name)
		require.NoError(t, d.Wait(), name)
		assert.Equal(t, Result{Origin: OriginCached, Bytes: 7, Verified: true}, d.Result(), name)
		p := d.Progress()
		assert.Equal(t, Progress{State: StateDone, Current: 7, Total: 7}, p, name)
		assert.Equal(t, m.dir.Path("sub/file"), d.Dest(), name)
		assert.Equal(t, url, d.URL(), name)
		select {
		case <-d.Done():
		default:
			t.Error(name + ": it is not done")
		}
		d.Cancel()
		assert.False(t, d.IsCanceled(), name)
		var told int64
		d.OnProgress(func(_ *Download, current, _ int64) { told = current })
		assert.EqualValues(t, 7, told, name)
		dst := t.TempDir() + "/copy"
		require.NoError(t, d.CopyTo(t.Context(), dst, 0o666), name)
		content, err := os.ReadFile(dst)
		require.NoError(t, err)
		assert.Equal(t, "content", string(content), name)
	}
	assert.Empty(t, m.Downloads())
	assert.Equal(t, 1, o.Count("/file"))
}

// That a file is there makes nothing right that is wrong.
func TestAFileThatIsThereIsNotGivenForWhatIsWrong(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	m := newManager(t)
	require.NoError(t, m.Download(url, "file").Wait())
	var bad *URLError
	require.ErrorAs(t, m.Download("ftp://h/file", "file").Wait(), &bad)
	require.ErrorAs(t, m.Download("http://", "file").Wait(), &bad)
	require.ErrorIs(t, m.Download(url, "../file").Wait(), ErrInvalidName)
	require.ErrorAs(t, m.Download(url, "file", WithMirrors("ftp://h/")).Wait(), &bad)
	require.ErrorIs(t, m.Download(url, "file/").Wait(), ErrInvalidName)
	require.Error(t, m.Download(url, "file", WithRewrite("x", "y")).Wait())
	require.ErrorIs(t, m.Download(url, "other", WithOffline()).Wait(), ErrNotCached)
	require.NoError(t, m.Close())
	require.ErrorIs(t, m.Download(url, "file").Wait(), ErrClosed)
}

// Who asks for a file that is being replaced gets the new one.
func TestAFileThatIsBeingReplacedIsNoHit(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("old"))
	m := newManager(t)
	require.NoError(t, m.Download(url, "File").Wait())
	begun, release := make(chan struct{}), make(chan struct{})
	o.Serve("/file", []byte("newer"))
	first := m.Download(url, "File", WithForce(), WithProgress(func(_ *Download, current, _ int64) {
		if current == 0 {
			close(begun)
			<-release
		}
	}))
	<-begun
	assert.Same(t, first, m.Download(url, "File"))
	twin := m.Download(url, "fILE")
	require.ErrorIs(t, twin.Wait(), ErrNameTaken)
	close(release)
	require.NoError(t, first.Wait())
	assert.EqualValues(t, 5, m.Download(url, "File").Result().Bytes)
}

// Close waits for who looks, and refuses who comes later.
func TestCloseAmongHits(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	dir := t.TempDir()
	for range 20 {
		m, err := NewDownloadManager(dir)
		require.NoError(t, err)
		require.NoError(t, m.Download(url, "file").Wait())
		var wg sync.WaitGroup
		hit := make(chan struct{}, 4)
		for range 4 {
			wg.Go(func() {
				for {
					err := m.Download(url, "file").Wait()
					if err != nil {
						assert.ErrorIs(t, err, ErrClosed)
						return
					}
					select {
					case hit <- struct{}{}:
					default:
					}
				}
			})
		}
		<-hit
		require.NoError(t, m.Close())
		wg.Wait()
	}
	assert.Equal(t, 1, o.Count("/file"))
}

// A hit takes the memory of its Download, its path and little else.
func TestAHitTakesLittleMemory(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	m := newManager(t)
	require.NoError(t, m.Download(url, "sub/file").Wait())
	assert.LessOrEqual(t, testing.AllocsPerRun(1000, func() { _ = m.Download(url, "sub/file") }), 4.0)
}
