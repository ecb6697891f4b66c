package fs

import (
	"errors"
	"runtime"
	"syscall"
)

// errorDiskFull is ENOSPC as Windows says it: ERROR_DISK_FULL.
const errorDiskFull = syscall.Errno(112)

// IsFull reports whether the error says that the disk, or the user's share of it,
// is full.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		runtime.GOOS == "windows" && errors.Is(err, errorDiskFull)
}
