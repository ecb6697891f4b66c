package unpack

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager"
	dlmfs "github.com/dlmanager/dlmanager/fs"
)

// A file of the cache is unpacked as it lies there, wherever its offset is.
func TestAFileOfTheCacheIsUnpacked(t *testing.T) {
	archive := tarOf(t, item{name: "top/tool", content: "x", mode: 0o755})
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(gz(t, archive))
	}))
	defer origin.Close()
	m, err := dlmanager.NewDownloadManager(filepath.Join(t.TempDir(), "cache"))
	require.NoError(t, err)
	defer m.Close()
	file, err := m.Get(t.Context(), origin.URL+"/tool.tar.gz", "")
	require.NoError(t, err)
	defer file.Close()
	_, err = file.Seek(5, 0)
	require.NoError(t, err)

	into := newPlace(t)
	root, err := os.OpenRoot(into.inside)
	require.NoError(t, err)
	defer root.Close()
	require.NoError(t, Options{Strip: 1}.Fill(t.Context(), file, dlmfs.NewRoot(root)))
	require.Equal(t, map[string]string{"tool": "x"}, into.tree(t))

	into = newPlace(t)
	other, err := os.OpenRoot(into.inside)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, Auto(t.Context(), file, dlmfs.NewRoot(other)))
	require.Equal(t, map[string]string{"top/": "", "top/tool": "x"}, into.tree(t))
}
