package dlmanager

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// flushing is a manager that something happens to while a file is about to land.
type flushing struct {
	*DownloadManager
	meanwhile func()
}

func (f *flushing) seal(d *Download, p *fs.Partial, size int64, written time.Time) (time.Time, error) {
	f.meanwhile()
	return f.DownloadManager.seal(d, p, size, written)
}

// A file may be evicted by others while what replaces it is flushed.
func TestTheCountWhenAFileIsEvictedWhileItIsReplaced(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 1000)
	m := newManager(t)
	other := managerAt(t, m.dir.Root())
	require.NoError(t, m.Download(url, "file").Wait())
	d := m.newDownload(url, []DownloadOption{WithForce()})
	d.site = &flushing{m, func() { require.NoError(t, other.dir.Evict("file")) }}
	require.NoError(t, m.start(d, "file", false).Wait())
	u := m.dir.Usage()
	assert.EqualValues(t, 1, u.Files)
	assert.EqualValues(t, 1000, u.Bytes)
	assert.Zero(t, u.Reserved)
}

// named is a manager in which somebody looks at a file that has just got its name.
type named struct {
	*DownloadManager
	look func()
}

func (n *named) landed(d *Download, l landing) {
	n.look()
	n.DownloadManager.landed(d, l)
}

// Others see a file from its rename on. One with a derived name of which they knew
// nothing would be fetched again.
func TestAFileIsKnownFromTheMomentItHasItsName(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 1000)
	m := newManager(t)
	other := managerAt(t, m.dir.Root())
	d := m.newDownload(url, nil)
	d.site = &named{m, func() {
		hit := other.Download(url, "")
		require.NoError(t, hit.Wait())
		assert.Equal(t, OriginCached, hit.Result().Origin)
	}}
	require.NoError(t, m.start(d, "", false).Wait())
	assert.Equal(t, 1, o.Count("/file"))
}

// reserving is a manager that somebody looks at before room is made.
type reserving struct {
	*DownloadManager
	look func()
}

func (r *reserving) reserve(ctx context.Context, d *Download, n int64) (*room, error) {
	r.look()
	return r.DownloadManager.reserve(ctx, d, n)
}

// Who goes on with a partial file may have to wait for room: meanwhile it is there,
// and others must not take the room that it needs.
func TestAPartialFileCountsUntilItsRoomIsReserved(t *testing.T) {
	o := testorigin.New(t)
	const size = 4 << 20
	url := o.ServeSize("/file", size, testorigin.Sequence(
		testorigin.All(testorigin.ETag(`"v"`), testorigin.SilentAfter(2<<20)), testorigin.ETag(`"v"`)))
	m := newManager(t)
	got := make(chan struct{})
	var once sync.Once
	d := m.Download(url, "file", WithProgress(func(_ *Download, n, _ int64) {
		if n >= 1<<20 {
			once.Do(func() { close(got) })
		}
	}))
	<-got
	d.Interrupt()
	require.ErrorIs(t, d.Wait(), ErrInterrupted)
	require.EqualValues(t, size, m.dir.Usage().All())
	next := m.newDownload(url, nil)
	var least int64 = size
	next.site = &reserving{m, func() { least = min(least, m.dir.Usage().All()) }}
	require.NoError(t, m.start(next, "file", false).Wait())
	assert.Equal(t, OriginResumed, next.Result().Origin)
	assert.EqualValues(t, size, least)
	assert.EqualValues(t, size, m.dir.Usage().All())
}
