//go:build !unix

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/dlmanager/dlmanager"
)

// program is an executable file of the cache, which is kept there by the manager
// until that is closed.
type program struct{ path string }

func newProgram(file *dlmanager.File) (*program, error) { return &program{file.Path()}, nil }

// run runs the program beside us, and gives its exit code as an error. Ctrl-C
// reaches both; it is for the program to obey.
func (p *program) run(ctx context.Context, args []string, closeCache func()) error {
	defer closeCache()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	cmd := &exec.Cmd{
		Path: p.path, Args: append([]string{p.path}, args...),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &programEnded{exit.ExitCode()}
	}
	if err != nil {
		return &notStarted{p.path, err}
	}
	return nil
}
