//go:build unix

package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func shellCommand(script string) *headerCommand {
	return newHeaderCommand([]string{"/bin/sh", "-c", script, "s3cret-argument"})
}

func TestAHeaderCommandIsReadOnce(t *testing.T) {
	dir := t.TempDir()
	c := shellCommand("echo run >>'" + dir + "/runs'; printf 'A: b\\r\\n\\nA: c'; wc -l <'" + dir + "/runs' | tr -d ' ' | sed 's/^/\\nN: /'")
	for range 3 {
		got, err := c.header(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"b", "c"}, got["A"])
		assert.Equal(t, "1", got.Get("N"))
	}
}

func TestAHeaderCommandThatFailsTellsNothing(t *testing.T) {
	for script, want := range map[string]string{
		"echo X: s3cret; echo s3cret >&2; exit 7": "exit status 7",
		"echo s3cret":                       "line 1: not of the form",
		"":                                  "no header",
		"echo Host: s3cret":                 "Host is not yours to set",
		"exec tr '\\0' s </dev/zero":        "it prints too much",
		"kill -9 $$":                        "signal: killed",
		"echo X: s3cret; exec 3>&1; exit 1": "exit status 1",
	} {
		_, err := shellCommand(script).header(t.Context())
		require.ErrorContains(t, err, want, script)
		assert.NotContains(t, err.Error(), "s3cret")
		assert.Contains(t, hintFor(err), "run it by hand")
	}
	_, err := newHeaderCommand([]string{"/no/such/program"}).header(t.Context())
	require.ErrorContains(t, err, "no such file")
}

func TestAHeaderCommandMayLeaveSomethingRunning(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	c := shellCommand("echo A: b; sleep 3600 & echo $! >'" + pid + "'")
	got, err := c.header(t.Context())
	text, readErr := os.ReadFile(pid)
	require.NoError(t, readErr)
	left, readErr := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, readErr)
	require.NoError(t, syscall.Kill(left, syscall.SIGKILL))
	require.NoError(t, err)
	assert.Equal(t, "b", got.Get("A"))
}

func TestAHeaderCommandEndsWithItsTime(t *testing.T) {
	c := shellCommand("exec sleep 3600")
	c.limit = time.Millisecond
	_, err := c.header(t.Context())
	require.ErrorContains(t, err, "not done within 1ms")

	c = shellCommand("exec sleep 3600")
	c.limit = 100 * time.Millisecond
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(assert.AnError)
	_, err = c.header(ctx)
	require.ErrorIs(t, err, assert.AnError)
	<-c.ended // it does not outlive its time
}
