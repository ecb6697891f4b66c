//go:build unix

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// childEnv makes the test's binary the program.
const childEnv = "DLMANAGER_EXAMPLE_ENVTEST"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

// envtest runs the program with a cache below home.
func envtest(t *testing.T, o *testorigin.Origin, home string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), childEnv+"=1", "ENVTEST_INDEX="+o.URL("/index"), "HOME="+home, "XDG_CACHE_HOME="+home, "GORACE=atexit_sleep_ms=0")
	text, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(text), exit.ExitCode()
	}
	assert.NoError(t, err)
	return string(text), 0
}

// publish serves an archive, and an index with its digest, or that of something else.
func publish(t *testing.T, o *testorigin.Origin, digestOf string) {
	t.Helper()
	program := "#!/bin/sh\necho apiserver \"$@\"\n"
	var archive bytes.Buffer
	z := gzip.NewWriter(&archive)
	w := tar.NewWriter(z)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "controller-tools/envtest/kube-apiserver", Mode: 0o755, Size: int64(len(program))}))
	_, err := io.WriteString(w, program)
	require.NoError(t, errors.Join(err, w.Close(), z.Close()))
	if digestOf == "" {
		digestOf = archive.String()
	}
	o.Serve("/index", fmt.Appendf(nil, `{"releases": {"v1.31.0": {"envtest-v1.31.0-%s-%s.tar.gz": {"hash": "%x", "selfLink": %q}}}}`,
		runtime.GOOS, runtime.GOARCH, sha512.Sum512([]byte(digestOf)), o.Serve("/archive", archive.Bytes())))
}

func TestEnvtestRunsWithItsPrograms(t *testing.T) {
	o := testorigin.New(t)
	publish(t, o, "")
	home := t.TempDir()
	script := `"$KUBEBUILDER_ASSETS"/kube-apiserver --version; exit 4`
	var wg sync.WaitGroup
	for range 10 { // at once, and the first of all
		wg.Go(func() {
			out, code := envtest(t, o, home, "v1.31.0", "sh", "-c", script)
			assert.Equal(t, "apiserver --version\n", out)
			assert.Equal(t, 4, code)
		})
	}
	wg.Wait()
	require.Equal(t, 1, o.Count("/archive"))
	asked := o.Count("/index")
	out, code := envtest(t, o, home, "v9", "true")
	require.Contains(t, out, "the index does not have envtest-v9-")
	require.Equal(t, 1, code)
	require.Equal(t, asked, o.Count("/index"), "it was asked for less than an hour ago")
}

func TestEnvtestUnpacksNothingWrong(t *testing.T) {
	o := testorigin.New(t)
	publish(t, o, "something else")
	out, code := envtest(t, o, t.TempDir(), "v1.31.0", "echo", "run")
	require.Contains(t, out, "checksum mismatch")
	require.Equal(t, 1, code)
}
