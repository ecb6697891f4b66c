//go:build unix

package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// childEnv makes the test's binary the wrapper.
const childEnv = "DLMANAGER_EXAMPLE_WRAPPER"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

// project is a folder of a project that asks for a version, with a cache of its own.
type project struct {
	dir string
	env []string
}

func newProject(t *testing.T, o *testorigin.Origin, version string) *project {
	t.Helper()
	root := t.TempDir()
	p := &project{dir: filepath.Join(root, "project", "sub")}
	require.NoError(t, os.MkdirAll(p.dir, 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(root, "project", ".tool-version"), []byte(version+"\n"), 0o666))
	p.env = append(os.Environ(), childEnv+"=1", "TOOL_BASE_URL="+o.URL(""), "HOME="+root, "XDG_CACHE_HOME="+root, "NETRC=/dev/null", "GORACE=atexit_sleep_ms=0")
	return p
}

// run is one call of the wrapper in the project.
func (p *project) run(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	text, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(text), exit.ExitCode()
	}
	assert.NoError(t, err)
	return string(text), 0
}

// release publishes a version of the tool, and returns the path of its file.
func release(o *testorigin.Origin, version, sumOf string) (path string) {
	file := fmt.Sprintf("tool-%s-%s", runtime.GOOS, runtime.GOARCH)
	tool := fmt.Sprintf("#!/bin/sh\necho %s \"$@\"\nexit 3\n", version)
	if sumOf == "" {
		sumOf = tool
	}
	path = "/" + version + "/" + file
	o.Serve(path, []byte(tool))
	o.Serve("/"+version+"/SHA256SUMS", fmt.Appendf(nil, "%x  %s\n", sha256.Sum256([]byte(sumOf)), file))
	return path
}

func TestWrapperRunsTheProjectsVersion(t *testing.T) {
	o := testorigin.New(t)
	path := release(o, "1.2.3", "")
	p := newProject(t, o, "1.2.3")
	var wg sync.WaitGroup
	for range 10 { // at once, and the first of all
		wg.Go(func() {
			out, code := p.run(t, "build", "a b")
			assert.Equal(t, "1.2.3 build a b\n", out)
			assert.Equal(t, 3, code)
		})
	}
	wg.Wait()
	require.Equal(t, 1, o.Count(path))
	asked := o.Count("/1.2.3/SHA256SUMS")
	out, code := p.run(t)
	require.Equal(t, "1.2.3\n", out)
	require.Equal(t, 3, code)
	require.Equal(t, 1, o.Count(path))
	require.Equal(t, asked, o.Count("/1.2.3/SHA256SUMS"), "what is there makes no request")
}

func TestWrapperRunsNothingWrong(t *testing.T) {
	o := testorigin.New(t)
	release(o, "2.0.0", "something else")
	out, code := newProject(t, o, "2.0.0").run(t)
	require.Contains(t, out, "checksum mismatch")
	require.Equal(t, 1, code)
	out, code = newProject(t, o, "3.0.0").run(t)
	require.Contains(t, out, http.StatusText(http.StatusNotFound))
	require.Equal(t, 1, code)
}
