package fs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheFolderOfPartialFilesMayBeTakenAway(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "first", "1")
	for name, away := range map[string]func(path string) error{
		"removed": os.RemoveAll,
		"moved":   func(path string) error { return os.Rename(path, path+"-away") },
		"replaced": func(path string) error {
			if err := os.Rename(path, path+"-old"); err != nil {
				return err
			}
			return os.Mkdir(path, 0o777)
		},
	} {
		p, err := create(d, "kept", 0o666) // the folder is open
		require.NoError(t, err)
		require.NoError(t, p.Cancel())
		require.NoError(t, away(d.Path(partialDir)), name)
		if p, err = create(d, name, 0o666); err == nil {
			err = p.Commit(SyncNone) // it may be one that finds out
		}
		if err != nil {
			land(t, d, name, name)
			assert.Equal(t, name, content(t, d, name))
		}
	}
}

func TestOnlyPlainNamesAreReachedThroughTheOpenFolder(t *testing.T) {
	f := &openFolder{name: partialDir}
	for name, want := range map[string]string{
		partialDir + "/a.part": "a.part",
		partialDir:             "",
		partialDir + "/":       "",
		partialDir + "/..":     "",
		partialDir + "/a/b":    "",
		partialDir + `/a\b`:    "",
		"a.part":               "",
	} {
		base, ok := f.has(name)
		assert.Equal(t, want != "", ok, name)
		if ok {
			assert.Equal(t, want, base)
		}
	}
	var none *openFolder
	_, ok := none.has(partialDir + "/a")
	assert.False(t, ok)
}

func TestALinkInTheFolderOfPartialFilesIsNotFollowed(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "victim", "whole")
	require.NoError(t, os.Symlink(filepath.Join("..", "..", "victim"), filepath.Join(d.Path(partialDir), "link.part")))
	_, err := d.fsys.OpenFile(partialDir+"/link.part", os.O_WRONLY|os.O_TRUNC, 0)
	require.Error(t, err)
	assert.Equal(t, "whole", content(t, d, "victim"))
}
