//go:build unix && !solaris && !aix

package fs

import "golang.org/x/sys/unix"

func unlockFD(fd uintptr) error { return unix.Flock(int(fd), unix.LOCK_UN) }
