package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// sample is what one run of a contender took.
type sample struct {
	wall time.Duration
	cpu  time.Duration // user and system, of the process and its children
	peak int64         // resident memory, bytes
	err  error         // the run failed; nothing else counts then
}

// command is a program to run.
type command struct{ args []string }

// environment has no settings of the user's for any of the programs.
func (p *place) environment() []string {
	env := []string{"HOME=" + p.home, "LC_ALL=C", "TMPDIR=" + p.work}
	if path, ok := os.LookupEnv("PATH"); ok {
		env = append(env, "PATH="+path)
	}
	return env
}

// execute runs a command and measures it. What it prints goes to a file, so
// that no goroutine of ours has to copy it meanwhile.
func (p *place) execute(ctx context.Context, c command, dir string) sample {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, fmt.Errorf("not done after %s", p.timeout))
	defer cancel()
	said, err := os.OpenFile(filepath.Join(p.work, "said"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return sample{err: err}
	}
	defer said.Close()
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, said, said
	cmd.Env = p.environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	start := time.Now()
	err = cmd.Run()
	wall := time.Since(start)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return sample{err: withOutput(err, said)}
	}
	state := cmd.ProcessState
	s := sample{wall: wall, cpu: state.UserTime() + state.SystemTime()}
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		s.peak = usage.Maxrss << 10 // Linux counts it in KiB
	}
	return s
}

// withOutput adds the last line that a program has printed.
func withOutput(err error, said *os.File) error {
	text := make([]byte, 4*kib)
	end, _ := said.Seek(0, 2)
	n, _ := said.ReadAt(text, max(0, end-int64(len(text))))
	if line := lastLine(text[:n]); line != "" {
		return fmt.Errorf("%w: %s", err, line)
	}
	return err
}

// lastLine returns the last line of a text that has something in it.
func lastLine(text []byte) string {
	lines := strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' || r == '\r' })
	for i := len(lines) - 1; i >= 0; i-- {
		if line := strings.TrimSpace(lines[i]); line != "" {
			return line
		}
	}
	return ""
}

// lowerOwnPeak makes this program small, and the kernel forget how large it has
// been, and returns its size. A child shares our memory until it executes its
// program, and the kernel counts that as its own: no smaller peak can be seen.
func lowerOwnPeak() (int64, error) {
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return 0, err
	}
	return ownSize()
}

func ownSize() (int64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var total, resident int64
	if _, err := fmt.Sscan(string(text), &total, &resident); err != nil {
		return 0, errors.Join(errors.New("/proc/self/statm"), err)
	}
	return resident * int64(os.Getpagesize()), nil
}
