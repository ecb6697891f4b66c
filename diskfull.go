package dlmanager

import (
	"errors"
	"runtime"
	"syscall"
)

// isDiskFull reports whether the file system has no space left, or the user has
// used up his share of it.
func isDiskFull(err error) bool {
	const (
		handleDiskFull = syscall.Errno(39)  // ERROR_HANDLE_DISK_FULL
		diskFull       = syscall.Errno(112) // ERROR_DISK_FULL
	)
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		runtime.GOOS == "windows" && (errors.Is(err, handleDiskFull) || errors.Is(err, diskFull))
}

// freesDisk reports whether the download may go on after err: the disk was full,
// and for the first time; now it is not, or less so.
func (l *life) freesDisk(err error) bool {
	if l.freed || !isDiskFull(err) {
		return false
	}
	l.freed = true
	return l.site.freeDisk(l.ctx, l.Download, l.rest())
}

// rest is how many bytes the download still has to store, or a guess: as many as
// it has stored.
func (l *life) rest() int64 {
	if l.fetched.Exact {
		return max(l.fetched.Total-l.fetched.N, 1)
	}
	return max(l.fetched.N, minRoomStep)
}
