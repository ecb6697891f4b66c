package fs

import (
	"errors"

	"golang.org/x/sys/windows"
)

// lockOffset is where the locked byte lies, far beyond any file's end: on
// Windows a locked range cannot be written through other handles, and the
// holder itself writes through one.
const lockOffset = 1 << 30 // times 4 GiB, as the high half of the offset

func tryLockFD(fd uintptr, shared bool) (bool, error) {
	how := uint32(windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY)
	if shared {
		how = windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	at := &windows.Overlapped{OffsetHigh: lockOffset}
	err := windows.LockFileEx(windows.Handle(fd), how, 0, 1, 0, at)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION), errors.Is(err, windows.ERROR_IO_PENDING):
		return false, nil
	case errors.Is(err, windows.ERROR_NOT_SUPPORTED), errors.Is(err, windows.ERROR_INVALID_FUNCTION):
		return false, errNoLocks
	}
	return false, err
}
