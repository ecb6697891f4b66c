package dlmanager

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// What is remembered of a file whose time was set goes with the time that it has
// after it was read again, so that its origin is asked about it the next time, too.
func TestATouchedFileIsRevalidatedMoreThanOnce(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"), testorigin.ETag(`"v1"`))
	m := newManager(t, always)
	first := m.Download(url, "file")
	require.NoError(t, first.Wait())
	at := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(first.Dest(), at, at))
	for range 3 {
		d := m.Download(url, "file")
		require.NoError(t, d.Wait())
		assert.Equal(t, OriginRevalidated, d.Result().Origin)
	}
}
