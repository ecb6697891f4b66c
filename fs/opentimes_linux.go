package fs

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setOpenTimes sets the times of an open file, whatever its name leads to, and without
// the walk to it. It is not done with a file that has no descriptor.
func setOpenTimes(f handle, atime, mtime time.Time) (done bool, err error) {
	times := [2]unix.Timespec{unix.NsecToTimespec(atime.UnixNano()), unix.NsecToTimespec(mtime.UnixNano())}
	return withFD(f, func(fd int) error {
		// Without a path it is futimens(3); unix.UtimesNanoAt always gives one.
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
}
