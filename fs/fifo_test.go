//go:build unix

package fs

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/require"
)

func TestAPipeInPlaceOfAnOwnFileIsAnErrorAndNoHang(t *testing.T) {
	for _, name := range []string{formatFile, configFile} {
		path := t.TempDir()
		d, err := Open(afero.NewOsFs(), path, Options{InitialLimit: 1})
		require.NoError(t, err)
		require.NoError(t, d.Close())
		require.NoError(t, os.Remove(filepath.Join(path, name)))
		require.NoError(t, syscall.Mkfifo(filepath.Join(path, name), 0o600))
		_, err = Open(afero.NewOsFs(), path, Options{})
		require.ErrorContains(t, err, "not a regular file")
	}
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "file", "x")
	require.NoError(t, syscall.Mkfifo(d.Path(entryFile), 0o600))
	require.Error(t, d.Record(Entry{Name: "file"}))
	info, err := d.Stat("file")
	require.NoError(t, err)
	_, ok := d.Entry("file", info)
	require.False(t, ok)
}
