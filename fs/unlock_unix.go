//go:build unix && !solaris && !aix

package fs

import "golang.org/x/sys/unix"

func unlockFD(fd uintptr) error {
	for {
		if err := unix.Flock(int(fd), unix.LOCK_UN); err != unix.EINTR {
			return err
		}
	}
}
