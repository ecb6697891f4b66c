//go:build unix

package fs

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// nonblock keeps an open from waiting for the other end of a pipe.
const nonblock = syscall.O_NONBLOCK

// unlinked reports whether the open file has lost its last name.
func unlinked(f handle) bool {
	var st unix.Stat_t // os.File.Stat would take memory
	if done, err := withFD(f, func(fd int) error { return unix.Fstat(fd, &st) }); done {
		return err != nil || st.Nlink == 0
	}
	fi, err := f.Stat()
	if err != nil {
		return true
	}
	sys, ok := fi.Sys().(*syscall.Stat_t)
	return ok && sys.Nlink == 0
}
