package fs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestALookSeesWhatTheRootSees(t *testing.T) {
	base := t.TempDir()
	outside := filepath.Join(base, "outside")
	require.NoError(t, os.MkdirAll(outside, 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(outside, "file"), []byte("x"), 0o666))
	d := countedDir(t, filepath.Join(base, "cache"))
	at := func(name string) string { return d.Path(name) }
	require.NoError(t, os.MkdirAll(at("a/b"), 0o777))
	for _, name := range []string{"top", "a/file", "a/b/file"} {
		require.NoError(t, os.WriteFile(at(name), []byte("1234"), 0o640))
	}
	for link, to := range map[string]string{
		"out": outside, "a/out": outside, "a/in": "b", "link": "top", "a/up": "../..",
	} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Skip(err)
		}
	}
	for _, name := range []string{
		"top", "a/file", "a/b/file", "none", "a/none", "none/file", "a/b/none/file", "top/file",
		"a", "a/b", "link", "out", "out/file", "a/out/file", "a/in/file", "a/in/none", "a/up/outside/file", "..", ".", "",
		"../outside/file", "a/../top", "a/b/../../top", "/etc/passwd", "a//file",
		"/top", "//top", "/a/file", "a/b/../file", "a/./file", "a/file/", "a/", "/",
	} {
		fi, rootErr := Lstat(NewRoot(d.root), name)
		info, err := lookUp(d.fsys, name)
		require.Equal(t, rootErr == nil, err == nil, "%q: %v, %v", name, rootErr, err)
		assert.Equal(t, os.IsNotExist(rootErr), os.IsNotExist(err), "%q: %v, %v", name, rootErr, err)
		if rootErr == nil {
			want := infoOf(fi)
			assert.Equal(t, want.Size, info.Size, name)
			assert.True(t, want.ModTime.Equal(info.ModTime), name)
			assert.True(t, want.LastUse.Equal(info.LastUse), name)
			assert.Equal(t, want.Mode.IsRegular(), info.Mode.IsRegular(), name)
			assert.Equal(t, want.Mode.IsDir(), info.Mode.IsDir(), name)
			assert.Equal(t, want.Mode.Perm(), info.Mode.Perm(), name)
		}
	}
	require.NoError(t, d.Close())
	_, err := lookUp(d.fsys, "top")
	assert.Error(t, err, "a closed directory shows nothing")
}

func TestARenameLeadsWhereTheRootLeads(t *testing.T) {
	base := t.TempDir()
	outside := filepath.Join(base, "outside")
	require.NoError(t, os.Mkdir(outside, 0o777))
	d := countedDir(t, filepath.Join(base, "cache"))
	require.NoError(t, os.MkdirAll(d.Path("a/b"), 0o777))
	require.NoError(t, os.WriteFile(d.Path("file"), nil, 0o666))
	for link, to := range map[string]string{"out": outside, "a/out": outside, "a/in": "b", "a/up": "../.."} {
		if err := os.Symlink(to, d.Path(link)); err != nil {
			t.Skip(err)
		}
	}
	for _, to := range []string{
		"top", "a/new", "a/b/new", "a/in/linked", "none/new", "a/none/new", "a/out/new", "out/new", "a/up/outside/new",
		"file/new", "a/b", "a", "/top", "/a/new", "a/../new", "a/./new", "a//new", "../new", "a/../../new",
	} {
		temp := partialDir + "/x" + partialSuffix
		land := func(rename func(from, to string) error) (where string, err error) {
			require.NoError(t, os.WriteFile(d.Path(temp), []byte("x"), 0o666))
			err = rename(temp, to)
			if err != nil {
				require.FileExists(t, d.Path(temp), to)
				return "", err
			}
			real, evalErr := filepath.EvalSymlinks(d.Path(to))
			require.NoError(t, evalErr)
			require.NoError(t, os.Remove(real))
			return real, nil
		}
		want, rootErr := land(d.root.Rename)
		got, err := land(d.fsys.Rename)
		assert.Equal(t, want, got, to)
		assert.Equal(t, rootErr == nil, err == nil, "%s: %v, %v", to, rootErr, err)
		assert.Equal(t, os.IsNotExist(rootErr), os.IsNotExist(err), "%s: %v, %v", to, rootErr, err)
	}
	left, err := os.ReadDir(outside)
	require.NoError(t, err)
	assert.Empty(t, left)
}
