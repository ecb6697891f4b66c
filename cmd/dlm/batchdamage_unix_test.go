//go:build unix

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestADamagedJobIsBegunAnewOnRequest(t *testing.T) {
	o := testorigin.New(t)
	dir := t.TempDir()
	list, job := filepath.Join(dir, "links.txt"), filepath.Join(dir, "job")
	text := o.Serve("/file", []byte("file")) + "\n" + o.URL("/missing") + "\n"
	require.NoError(t, os.WriteFile(list, []byte(text), 0o600))
	first, _ := dlm(t, "batch", "--job", job, list)
	out, err := first.CombinedOutput()
	require.Equal(t, 7, exitCodeOf(t, err), string(out))
	retry := again(first)
	retry.Args = append(retry.Args, "--retry-failed") // writes behind what was flushed
	out, err = retry.CombinedOutput()
	require.Equal(t, 7, exitCodeOf(t, err), string(out))

	log, err := os.ReadFile(filepath.Join(job, "log"))
	require.NoError(t, err)
	log[60] ^= 1
	require.NoError(t, os.WriteFile(filepath.Join(job, "log"), log, 0o600))
	out, err = again(first).CombinedOutput()
	require.Equal(t, 8, exitCodeOf(t, err), string(out))
	require.Contains(t, string(out), "dlm: hint: --restart begins anew")
	anew := again(first)
	anew.Args = append(anew.Args, "--restart")
	out, err = anew.CombinedOutput()
	require.Equal(t, 7, exitCodeOf(t, err), string(out))
	require.Contains(t, string(out), "2 links: 0 fetched (0 B), 1 there already, 1 failed")
	require.Equal(t, 1, o.Count("/file"))
}
