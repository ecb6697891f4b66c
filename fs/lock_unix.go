//go:build unix && !solaris && !aix

package fs

import (
	"errors"

	"golang.org/x/sys/unix"
)

func tryLockFD(fd uintptr, shared bool) (bool, error) {
	how := unix.LOCK_EX | unix.LOCK_NB
	if shared {
		how = unix.LOCK_SH | unix.LOCK_NB
	}
	for {
		switch err := unix.Flock(int(fd), how); {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOLCK), errors.Is(err, unix.EINVAL):
			return false, errNoLocks
		case errors.Is(err, unix.EBADF): // NFS locks exclusively only what is open for writing (flock(2))
			return false, errNoLocks
		default:
			return false, err
		}
	}
}
