//go:build unix

package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// TestManySyncsAtOnce lets processes bring one project's artifacts: each is fetched
// once, and all of them find all in place in the end.
func TestManySyncsAtOnce(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/pack.tgz", packOf("one"))
	var manifest strings.Builder
	fmt.Fprintf(&manifest, "[artifact.pack]\nurl = %q\nunpack = true\nto = \"pack\"\n", o.URL("/pack.tgz"))
	for i := range 5 {
		content := fmt.Appendf(nil, "file %d", i)
		url := o.Serve(fmt.Sprintf("/file%d", i), content)
		fmt.Fprintf(&manifest, "[artifact.file%d]\nurl = %q\nto = \"files/\"\nchecksum = \"sha256:%x\"\n", i, url, sha256.Sum256(content))
	}
	project, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	require.NoError(t, os.WriteFile(filepath.Join(project, "dlm.toml"), []byte(manifest.String()), 0o666))
	sync1 := func(args ...string) {
		cmd, _ := dlm(t, append([]string{"sync", "--cache-dir", cache}, args...)...)
		cmd.Dir = project
		out, err := cmd.CombinedOutput()
		assert.NoError(t, err, "%s", out)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { sync1() })
	}
	wg.Wait()
	sync1("--check")
	for i := range 5 {
		require.Equal(t, 1, o.Count(fmt.Sprintf("/file%d", i)))
	}
	require.Equal(t, 1, o.Count("/pack.tgz"))
	require.FileExists(t, filepath.Join(project, "pack", "pack", "bin", "run"))
	left, err := filepath.Glob(filepath.Join(project, ".*"))
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(project, ".dlm-sync")}, left, "nothing is left beside the destinations")
}

func TestASwapPutsBackWhatItCannotReplace(t *testing.T) {
	dir := t.TempDir()
	s := &syncState{path: filepath.Join(dir, syncFolder, "dlm.toml.json")}
	target := filepath.Join(dir, "tool")
	require.NoError(t, os.WriteFile(target, []byte("old"), 0o666))
	require.Error(t, s.swap(target, func(string) error { return nil }), "nothing was made")
	requireFile(t, "old", target)
	require.NoError(t, s.swap(target, func(to string) error { return os.WriteFile(to, []byte("new"), 0o666) }))
	requireFile(t, "new", target)
	left, err := filepath.Glob(filepath.Join(dir, syncFolder, "swap-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func requireFile(t *testing.T, want, path string) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

func TestTreesAreTheSameByTheirContent(t *testing.T) {
	make1 := func(change func(dir string)) string {
		dir := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o777))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "a", "run"), []byte("12345"), 0o777))
		require.NoError(t, os.Symlink("run", filepath.Join(dir, "a", "link")))
		change(dir)
		return dir
	}
	from := make1(func(string) {})
	for what, c := range map[string]struct {
		change func(dir string)
		same   bool
	}{
		"equal":     {func(string) {}, true},
		"more":      {func(dir string) { _ = os.WriteFile(filepath.Join(dir, "more"), nil, 0o666) }, true},
		"content":   {func(dir string) { _ = os.WriteFile(filepath.Join(dir, "a", "run"), []byte("12346"), 0o777) }, false},
		"longer":    {func(dir string) { _ = os.WriteFile(filepath.Join(dir, "a", "run"), []byte("123456"), 0o777) }, false},
		"mode":      {func(dir string) { _ = os.Chmod(filepath.Join(dir, "a", "run"), 0o600) }, false},
		"no file":   {func(dir string) { _ = os.Remove(filepath.Join(dir, "a", "run")) }, false},
		"no folder": {func(dir string) { _ = os.Remove(filepath.Join(dir, "a", "b")) }, false},
		"other link": {func(dir string) {
			_ = os.Remove(filepath.Join(dir, "a", "link"))
			_ = os.Symlink("b", filepath.Join(dir, "a", "link"))
		}, false},
		"a file": {func(dir string) { _ = os.RemoveAll(dir); _ = os.WriteFile(dir, nil, 0o666) }, false},
	} {
		same, err := sameTree(t.Context(), from, make1(c.change))
		require.NoError(t, err, what)
		require.Equal(t, c.same, same, what)
	}
}
