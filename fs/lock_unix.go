//go:build unix && !solaris && !aix

package fs

import (
	"errors"

	"golang.org/x/sys/unix"
)

func tryLockFD(fd uintptr) (bool, error) {
	for {
		switch err := unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOLCK), errors.Is(err, unix.EINVAL):
			return false, errNoLocks
		default:
			return false, err
		}
	}
}
