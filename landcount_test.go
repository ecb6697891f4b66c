package dlmanager

import (
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
