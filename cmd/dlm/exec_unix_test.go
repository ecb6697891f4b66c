//go:build unix

package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// waiting is a program that says so and then reads stdin to its end.
const waiting = "#!/bin/sh\ntrap 'echo got INT; exit 3' INT\ntrap 'echo got TERM; exit 4' TERM\necho waiting $$\nread line\necho \"read $line\"\n"

// runWaiting starts the program by way of dlm exec, and returns when it waits.
func runWaiting(t *testing.T, url, cache string) (cmd *exec.Cmd, in io.WriteCloser, out *bufio.Reader) {
	t.Helper()
	cmd, _ = dlm(t, "exec", "--cache-dir", cache, "--name", "tool", url)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	out = bufio.NewReader(pipe)
	line, err := out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "waiting", strings.Fields(line)[0])
	return cmd, in, out
}

func TestExecBecomesTheProgramAndKeepsItInTheCache(t *testing.T) {
	o := testorigin.New(t)
	tool, filler := o.Serve("/tool", []byte(waiting)), o.ServeSize("/filler", 10_000)
	cache := filepath.Join(t.TempDir(), "cache")
	fill := func(names ...string) {
		for _, name := range names {
			get, _ := dlm(t, "get", "--cache-dir", cache, "--size-limit", "25000", "--keep", "1", "--grace", "0", "--name", name, filler)
			require.NoError(t, get.Run())
		}
	}
	cmd, in, out := runWaiting(t, tool, cache)
	path := filepath.Join(cache, "tool")
	old := func() { // the next one to go
		fi, err := os.Stat(path)
		require.NoError(t, err)
		require.NoError(t, os.Chtimes(path, fi.ModTime().Add(-1e12), fi.ModTime().Add(-1e12)))
	}
	old()
	fill("a", "b", "c", "d")
	require.FileExists(t, path, "it runs")
	require.NoFileExists(t, filepath.Join(cache, "a"))
	_, err := io.WriteString(in, "line\n")
	require.NoError(t, err)
	rest, err := io.ReadAll(out)
	require.NoError(t, err)
	assert.Equal(t, "read line\n", string(rest))
	require.NoError(t, cmd.Wait())
	old()
	fill("e", "f")
	require.NoFileExists(t, path, "it does not run any more")
}

func TestExecHandsSignalsOn(t *testing.T) {
	o := testorigin.New(t)
	tool := o.Serve("/tool", []byte(waiting))
	cache := filepath.Join(t.TempDir(), "cache")
	for sig, code := range map[syscall.Signal]int{syscall.SIGINT: 3, syscall.SIGTERM: 4} {
		cmd, in, out := runWaiting(t, tool, cache)
		require.NoError(t, cmd.Process.Signal(sig), "the process is the program's")
		require.NoError(t, in.Close()) // the shell of the program looks at signals when it has read
		_, err := io.ReadAll(out)
		require.NoError(t, err)
		assert.Equal(t, code, exitCodeOf(t, cmd.Wait()))
	}
	cmd, _, out := runWaiting(t, tool, cache)
	require.NoError(t, cmd.Process.Kill())
	_, err := io.ReadAll(out)
	require.NoError(t, err)
	require.Error(t, cmd.Wait())
}

// A signal that was ignored stays so: a shell starts its background jobs that way.
func TestExecLeavesIgnoredSignalsIgnored(t *testing.T) {
	o := testorigin.New(t)
	tool := o.Serve("/tool", []byte("#!/bin/sh\nkill -INT $$\necho alive\n"))
	_, cache := dlm(t)
	cmd := exec.Command("sh", "-c", "trap '' INT; exec dlm exec --cache-dir \"$0\" \"$1\"", cache, tool)
	out, err := cmd.Output()
	require.NoError(t, err)
	assert.Equal(t, "alive\n", string(out))
}

func TestASignalBeforeTheProgramRunsIsOurs(t *testing.T) {
	o := testorigin.New(t)
	cmd, cache := dlm(t, "exec", o.ServeSize("/stuck", 1<<20, testorigin.SilentAfter(1000)))
	var out bytes.Buffer
	cmd.Stdout = &out
	require.NoError(t, cmd.Start())
	<-o.Arrived("/stuck", 1)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.Equal(t, 130, exitCodeOf(t, cmd.Wait()))
	assert.Empty(t, out.String())
	requireNoPartials(t, cache)
}

// Twenty at once make one request, and none finds the program busy. A real
// program: the kernel protects a script less well.
func TestTwentyExecuteWhatOneFetches(t *testing.T) {
	program, err := os.ReadFile("/bin/echo")
	require.NoError(t, err)
	o := testorigin.New(t)
	tool := o.Serve("/tool", program)
	cache := filepath.Join(t.TempDir(), "cache")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			cmd, _ := dlm(t, "exec", "--cache-dir", cache, tool, "--", "it", "runs")
			out, err := cmd.CombinedOutput()
			assert.NoError(t, err)
			assert.Equal(t, "it runs\n", string(out))
		})
	}
	wg.Wait()
	assert.Equal(t, 1, o.Count("/tool"))
}
