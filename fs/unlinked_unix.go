//go:build unix

package fs

import (
	"os"
	"syscall"

	"github.com/spf13/afero"
	"golang.org/x/sys/unix"
)

// nonblock keeps an open from waiting for the other end of a pipe.
const nonblock = syscall.O_NONBLOCK

// unlinked reports whether the open file has lost its last name.
func unlinked(f afero.File) bool {
	if file, ok := f.(*os.File); ok { // os.File.Stat would take memory
		var st unix.Stat_t
		return at(file, func(fd int) error { return unix.Fstat(fd, &st) }) != nil || st.Nlink == 0
	}
	fi, err := f.Stat()
	if err != nil {
		return true
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 0
}
