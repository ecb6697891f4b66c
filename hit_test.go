package dlmanager

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/afero"
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
	for why, d := range map[string]*Download{
		"a bad URL":          m.Download("::bad", "file"),
		"a URL without host": m.Download("http://", "file"),
		"another scheme":     m.Download("ftp://h/file", "file"),
		"a bad name":         m.Download(url, "../file"),
		"a folder's name":    m.Download(url, "file/"),
		"a bad mirror":       m.Download(url, "file", WithMirrors("::bad")),
		"a bad rewrite":      m.Download(url, "file", WithRewrite("::bad", "::bad")),
		"a bad header":       m.Download(url, "file", WithHostHeader("", "\n", "x")),
		"a file system":      m.Download(url, "file", WithFs(m.cfg.defaults.fs)),
		"another checksum":   m.Download(url, "file", WithChecksum("sha256:00")),
	} {
		require.Error(t, d.Wait(), why)
		assert.Equal(t, OriginNone, d.Result().Origin, why)
	}
	require.ErrorIs(t, m.Download(url, "other", WithOffline()).Wait(), ErrNotCached)
	require.NoError(t, m.Close())
	require.ErrorIs(t, m.Download(url, "file").Wait(), ErrClosed)
}

// lateFs answers a look at one name late: what it says is no longer true then.
type lateFs struct {
	afero.Fs
	name           string
	armed          atomic.Bool // for the next look
	looked, answer chan struct{}
}

func newLateFs(name string) *lateFs {
	return &lateFs{Fs: afero.NewOsFs(), name: name, looked: make(chan struct{}), answer: make(chan struct{})}
}

func (f *lateFs) LstatIfPossible(name string) (os.FileInfo, bool, error) {
	fi, ok, err := f.Fs.(afero.Lstater).LstatIfPossible(name)
	if filepath.Base(name) == f.name && f.armed.CompareAndSwap(true, false) {
		close(f.looked)
		<-f.answer
	}
	return fi, ok, err
}

// What happens to a file while somebody looks for it is not taken back by what was seen.
func TestTheAccountsAreRightWhateverHappensDuringALook(t *testing.T) {
	for what, c := range map[string]struct {
		before    int64 // size of the file, before somebody looks; 0: there is none
		meanwhile func(*testing.T, *testorigin.Origin, *DownloadManager)
		after     int64
	}{
		"it lands": {0, func(t *testing.T, o *testorigin.Origin, m *DownloadManager) {
			require.NoError(t, m.Download(o.URL("/file"), "file").Wait())
		}, 600},
		"it is removed": {600, func(t *testing.T, _ *testorigin.Origin, m *DownloadManager) {
			require.NoError(t, m.Remove("file"))
		}, 600}, // it is fetched again
		"it is replaced": {600, func(t *testing.T, o *testorigin.Origin, m *DownloadManager) {
			require.NoError(t, m.Download(o.ServeSize("/other", 100), "file", WithForce()).Wait())
		}, 100},
	} {
		t.Run(what, func(t *testing.T) {
			o := testorigin.New(t)
			fsys := newLateFs("file")
			m := newManager(t, WithFs(fsys), WithSizeLimit(1000), WithFileLimit(1))
			url := o.ServeSize("/file", 600)
			if c.before > 0 {
				require.NoError(t, m.Download(url, "file").Wait())
			}
			fsys.armed.Store(true)
			over := make(chan error)
			go func() { over <- m.Download(url, "file").Wait() }()
			<-fsys.looked
			assert.Empty(t, m.Downloads(), "it looks before it is in flight")
			c.meanwhile(t, o, m)
			close(fsys.answer)
			require.NoError(t, <-over)
			fi, err := os.Stat(m.dir.Path("file"))
			require.NoError(t, err)
			assert.Equal(t, c.after, fi.Size())
			usage := m.limit.Usage()
			assert.Equal(t, 1, usage.Files)
			assert.Equal(t, c.after, usage.Bytes)
		})
	}
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
