//go:build unix

package fs

import (
	"syscall"

	"github.com/spf13/afero"
)

// nonblock keeps an open from waiting for the other end of a pipe.
const nonblock = syscall.O_NONBLOCK

// unlinked reports whether the open file has lost its last name.
func unlinked(f afero.File) bool {
	fi, err := f.Stat()
	if err != nil {
		return true
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 0
}
