//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dlmanager/dlmanager"
)

// program is an executable file of the cache, and the descriptor that keeps it
// there.
type program struct{ path string }

// newProgram copies the file's descriptor, and the lease with it, so that it
// outlasts the manager and us.
func newProgram(file *dlmanager.File) (*program, error) {
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	var copied error
	err = conn.Control(func(fd uintptr) {
		const afterStderr = 3
		_, copied = unix.FcntlInt(fd, unix.F_DUPFD, afterStderr) // not closed by execve(2)
	})
	return &program{file.Path()}, errors.Join(err, copied)
}

// run makes this process that of the program. It returns only if it cannot.
func (p *program) run(ctx context.Context, args []string, closeCache func()) error {
	closeCache()
	signal.Reset(os.Interrupt, syscall.SIGTERM) // what comes from now on is for the program
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	argv := append([]string{p.path}, args...)
	return &notStarted{p.path, untilFree(func() error { return syscall.Exec(p.path, argv, os.Environ()) })}
}

const (
	firstBusyWait = time.Millisecond
	mostBusyWait  = 500 * time.Millisecond
)

// untilFree tries again for a second while somebody has the file open for writing:
// whoever has just fetched it, in a child that has not come to its exec yet.
func untilFree(try func() error) error {
	for wait := firstBusyWait; ; wait *= 2 {
		err := try()
		if !errors.Is(err, syscall.ETXTBSY) || wait > mostBusyWait {
			return err
		}
		time.Sleep(wait)
	}
}
