package dlmanager

import (
	"fmt"
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

func TestWhatIsThereCountsAgainstTheLimit(t *testing.T) {
	o := testorigin.New(t)
	dir := t.TempDir()
	first := managerAt(t, dir)
	for i := range 5 {
		path := fmt.Sprint("/old", i)
		require.NoError(t, first.Download(o.ServeSize(path, 100), path[1:]).Wait())
		old := time.Now().Add(-time.Duration(10-i) * time.Hour)
		require.NoError(t, os.Chtimes(filepath.Join(dir, path[1:]), old, old))
	}
	require.NoError(t, first.Close())

	var evicted events
	m := managerAt(t, dir, WithSizeLimit(300), WithFileLimit(1), WithHooks(Hooks{
		Evicted: func(r Removed) { evicted.add(filepath.Base(r.Path)) },
	}))
	require.NoError(t, m.Download(o.ServeSize("/new", 100), "new").Wait())
	require.NoError(t, m.Close())
	assert.ElementsMatch(t, []string{"old0", "old1", "old2"}, evicted.all()) // two may evict, and tell it in any order
	assert.FileExists(t, filepath.Join(dir, "old3"))
	assert.FileExists(t, filepath.Join(dir, "new"))
}

func TestSomebodysFilesAreNotEvictedBySurprise(t *testing.T) {
	dir := t.TempDir()
	thesis := filepath.Join(dir, "thesis.tex")
	require.NoError(t, os.WriteFile(thesis, make([]byte, 1000), 0o666))
	for _, opts := range [][]Option{
		{WithSizeLimit(10)},
		{WithInitialSizeLimit(10)},
		{WithPersistLimit(NewPersistLimit(10, 1))},
	} {
		_, err := NewDownloadManager(dir, opts...)
		require.ErrorIs(t, err, ErrNotCacheDir)
	}
	require.NoError(t, managerAt(t, dir).Close())
	require.NoError(t, managerAt(t, dir, WithSizeLimit(0)).Close())
	assert.FileExists(t, thesis)
	require.NoError(t, managerAt(t, dir, WithSizeLimit(10000), WithAdopt()).Close())
	assert.FileExists(t, thesis)
	_, err := NewDownloadManager("")
	require.Error(t, err)
}

func TestTheDirectorysOwnLimit(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	require.NoError(t, managerAt(t, dir, WithInitialSizeLimit(250)).Close())

	fill := func(m *DownloadManager, from int) {
		for i := range 4 {
			path := fmt.Sprint("/file", from+i)
			require.NoError(t, m.Download(o.ServeSize(path, 100), path[1:]).Wait())
		}
		require.NoError(t, m.Close())
	}
	count := func() int {
		names, err := filepath.Glob(filepath.Join(dir, "file*"))
		require.NoError(t, err)
		return len(names)
	}
	fill(managerAt(t, dir, WithFileLimit(1)), 0)
	assert.Equal(t, 2, count(), "the limit holds for who says nothing")
	fill(managerAt(t, dir, WithFileLimit(1), WithSizeLimit(0)), 10)
	assert.Equal(t, 6, count(), "an option outranks it")
	fill(managerAt(t, dir, WithFileLimit(1), WithInitialSizeLimit(1_000_000)), 20)
	assert.Equal(t, 2, count(), "it is set once")
}

func TestDownloadsInMemory(t *testing.T) {
	o := testorigin.New(t)
	base := afero.NewMemMapFs()
	m := managerAt(t, "/cache", WithFs(base), WithSizeLimit(250), WithFileLimit(1))
	for i := range 4 {
		path := fmt.Sprint("/file", i)
		require.NoError(t, m.Download(o.ServeSize(path, 100), path[1:]).Wait())
	}
	d := m.Download(o.URL("/file3"), "file3")
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginCached, d.Result().Origin)
	exists, err := afero.Exists(base, "/cache/file3")
	require.NoError(t, err)
	assert.True(t, exists)
	exists, err = afero.Exists(base, "/cache/file0")
	require.NoError(t, err)
	assert.False(t, exists, "evicted in memory, too")
	require.Error(t, m.Download(o.URL("/x"), "x", WithFs(afero.NewMemMapFs())).Wait())
	require.Error(t, m.Wait())
}

func TestRoomIsMadeBeforeBytesAreWritten(t *testing.T) {
	o := testorigin.New(t)
	for name, opts := range map[string][]testorigin.Option{"length": nil, "no length": {testorigin.NoLength()}} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, WithSizeLimit(10_000), WithFileLimit(1))
			for i := range 10 {
				path := fmt.Sprint("/old", i)
				require.NoError(t, m.Download(o.ServeSize(path, 1000), path[1:]).Wait())
			}
			assert.EqualValues(t, 10_000, m.limit.Usage().Bytes)
			gate := make(chan struct{})
			arrived := make(chan struct{})
			var once sync.Once
			url := o.ServeSize("/new", 5000, append(opts, testorigin.GateAfter(10, gate))...)
			d := m.Download(url, "new", WithProgress(func(_ *Download, current, _ int64) {
				if current > 0 {
					once.Do(func() { close(arrived) })
				}
			}))
			<-arrived
			u := m.limit.Usage()
			assert.LessOrEqual(t, u.Bytes+u.Reserved, u.Limit)
			assert.GreaterOrEqual(t, u.Reserved, int64(10))
			close(gate)
			require.NoError(t, d.Wait())
			u = m.limit.Usage()
			assert.Zero(t, u.Reserved)
			assert.LessOrEqual(t, u.Bytes, u.Limit)
		})
	}
}

func TestAFileLargerThanTheLimitIsReportedAndEmptiesNothing(t *testing.T) {
	o := testorigin.New(t)
	var exceeded atomic.Int64
	m := newManager(t, WithSizeLimit(1000), WithFileLimit(1), WithHooks(Hooks{
		LimitExceeded: func(u LimitUsage) { exceeded.Store(u.Over) },
	}))
	for i := range 5 {
		path := fmt.Sprint("/small", i)
		require.NoError(t, m.Download(o.ServeSize(path, 100), path[1:]).Wait())
	}
	require.NoError(t, m.Download(o.ServeSize("/large", 5000), "large").Wait())
	assert.Positive(t, exceeded.Load())
	for i := range 5 {
		dest, err := m.Dest(fmt.Sprint("small", i))
		require.NoError(t, err)
		assert.FileExists(t, dest)
	}
}

func TestReservationsAreGivenBack(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithSizeLimit(10_000))
	require.Error(t, m.Download(o.ServeSize("/cut", 5000, testorigin.CutAfter(100)), "cut").Wait())
	d := m.Download(o.ServeSize("/silent", 5000, testorigin.SilentAfter(100)), "silent")
	<-o.Arrived("/silent", 1)
	d.Cancel()
	require.Error(t, d.Wait())
	u := m.limit.Usage()
	assert.Zero(t, u.Reserved)
	assert.Zero(t, u.Bytes)
}
