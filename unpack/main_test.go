package unpack

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	dlmfs "github.com/dlmanager/dlmanager/fs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A place is a folder to unpack into, in a folder in which nothing else may change.
type place struct {
	outside, inside string
}

const canary = "what lies outside"

func newPlace(t testing.TB) place {
	t.Helper()
	outside := t.TempDir()
	p := place{outside: outside, inside: filepath.Join(outside, "in", "side")}
	require.NoError(t, os.MkdirAll(p.inside, 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(outside, "canary"), []byte(canary), 0o600))
	return p
}

// unpack unpacks an archive that is called name into the place, and makes sure that
// nothing outside has changed and nothing inside leads out, whatever comes of it.
func (p place) unpack(t testing.TB, o Options, name string, archive []byte) error {
	t.Helper()
	root, err := os.OpenRoot(p.inside)
	require.NoError(t, err)
	defer root.Close()
	err = o.Extract(t.Context(), bytes.NewReader(archive), int64(len(archive)), name, dlmfs.NewRoot(root))
	p.requireContained(t)
	return err
}

// requireContained asserts that the folder is all that has changed, that it holds but
// folders, regular files without special bits, and links, and that none leads out.
func (p place) requireContained(t testing.TB) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(p.outside, "canary"))
	require.NoError(t, err)
	require.Equal(t, canary, string(content))
	require.Equal(t, []string{"canary", "in"}, list(t, p.outside))
	require.Equal(t, []string{"side"}, list(t, filepath.Join(p.outside, "in")))
	inside, err := filepath.EvalSymlinks(p.inside)
	require.NoError(t, err)
	require.NoError(t, filepath.WalkDir(p.inside, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky|fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket), path)
		if d.Type()&fs.ModeSymlink == 0 {
			require.True(t, d.IsDir() || d.Type().IsRegular(), path)
			return nil
		}
		target, err := filepath.EvalSymlinks(path)
		if err == nil {
			rel, err := filepath.Rel(inside, target)
			require.NoError(t, err)
			require.True(t, filepath.IsLocal(rel), "%s leads to %s", path, target)
		}
		return nil
	}))
}

func list(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// tree returns what was unpacked: path -> content, with the target of links behind
// "-> ", and folders with a slash behind their name and no content.
func (p place) tree(t testing.TB) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(p.inside, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		rel, err := filepath.Rel(p.inside, path)
		require.NoError(t, err)
		rel = filepath.ToSlash(rel)
		switch {
		case rel == ".":
		case d.IsDir():
			found[rel+"/"] = ""
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			require.NoError(t, err)
			found[rel] = "-> " + filepath.ToSlash(target)
		default:
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			found[rel] = string(content)
		}
		return nil
	}))
	return found
}
