//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	iofs "io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// dlm returns the command, to be run as a process of its own with a cache of its
// own.
func dlm(t *testing.T, args ...string) (cmd *exec.Cmd, cache string) {
	t.Helper()
	if signal.Ignored(os.Interrupt) { // as in the background of a shell; the command would inherit that
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	cache = filepath.Join(t.TempDir(), "cache")
	cmd = exec.Command("dlm", args...)
	cmd.Env = append(os.Environ(), "DLM_CACHE_DIR="+cache, "GORACE="+raceOptions,
		"DLM_PROGRESS=none") // else it speaks where a slow machine takes five seconds
	return cmd, cache
}

func exitCodeOf(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	require.True(t, ok, "%v", err)
	return exit.ExitCode()
}

func requireNoPartials(t *testing.T, cache string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(cache, func(path string, _ iofs.DirEntry, err error) error {
		require.NotEqual(t, ".part", filepath.Ext(path), "%s is left", path)
		return err
	}))
}

func TestSignalInterruptsAndCleansUp(t *testing.T) {
	for sig, want := range map[syscall.Signal]struct {
		code int
		says string
	}{
		syscall.SIGINT:  {130, "dlm: interrupted: "},
		syscall.SIGTERM: {143, "dlm: terminated: "},
	} {
		t.Run(sig.String(), func(t *testing.T) {
			o := testorigin.New(t)
			there := o.Serve("/there", []byte("there"))
			stuck := o.ServeSize("/stuck", 1<<20, testorigin.SilentAfter(1000))
			cmd, cache := dlm(t, "get", there, stuck)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			require.NoError(t, cmd.Start())
			<-o.Arrived("/stuck", 1)
			require.NoError(t, cmd.Process.Signal(sig))
			require.Equal(t, want.code, exitCodeOf(t, cmd.Wait()))
			require.Regexp(t, `\A(/.*/there)?\n\n\z`, stdout.String())
			require.Regexp(t, `\A`+want.says+`.*\n\z`, stderr.String())
			requireNoPartials(t, cache)
		})
	}
}

// fullPipe returns a pipe that takes no byte more.
func fullPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { r.Close(); w.Close() })
	raw, err := w.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Write(func(fd uintptr) bool {
		block := make([]byte, 1<<16)
		for size := len(block); size > 0; {
			if _, err := syscall.Write(int(fd), block[:size]); err != nil {
				size /= 2
			}
		}
		return true
	}))
	return r, w
}

func TestSecondSignalExitsAtOnce(t *testing.T) {
	o := testorigin.New(t)
	stuck := o.ServeSize("/stuck", 1<<20, testorigin.SilentAfter(1000))
	cmd, _ := dlm(t, "get", stuck)
	_, full := fullPipe(t) // the result cannot be written: cleaning up takes for ever
	cmd.Stdout = full
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	<-o.Arrived("/stuck", 1)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	said, err := bufio.NewReader(stderr).ReadString('\n')
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(said, "dlm: interrupted"), said)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 130, exitCodeOf(t, cmd.Wait()), "the first signal counts")
}

func TestSignalEndsWriteThatNobodyReads(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/big", 1<<20)
	cmd, cache := dlm(t, "get", "-o", "-", url)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	cmd.Stdout = w
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close())
	_, err = r.Read(make([]byte, 1)) // the copy has begun, and soon the pipe is full
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.Equal(t, 130, exitCodeOf(t, cmd.Wait()))
	requireNoPartials(t, cache)
}

func TestBrokenPipeIsQuiet(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/big", 1<<20)
	for _, args := range [][]string{{"get", url}, {"get", "-o", "-", url}, {"get", "--json", url}} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			cmd, cache := dlm(t, args...)
			r, w, err := os.Pipe()
			require.NoError(t, err)
			require.NoError(t, r.Close())
			defer w.Close()
			var stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = w, &stderr
			require.Equal(t, 1, exitCodeOf(t, cmd.Run()))
			require.Empty(t, stderr.String())
			requireNoPartials(t, cache)
		})
	}
}

func TestFullDiskOfStdout(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Log("this system has no /dev/full")
		return
	}
	defer full.Close()
	o := testorigin.New(t)
	cmd, _ := dlm(t, "get", o.Serve("/file", []byte("file")))
	cmd.Stdout = full
	require.Equal(t, 6, exitCodeOf(t, cmd.Run()))
}
