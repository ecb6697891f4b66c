package fs

import "golang.org/x/sys/windows"

func unlockFD(fd uintptr) error {
	at := &windows.Overlapped{OffsetHigh: lockOffset}
	return windows.UnlockFileEx(windows.Handle(fd), 0, 1, 0, at)
}
