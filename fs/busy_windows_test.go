package fs

import "golang.org/x/sys/windows"

func busyError() error { return windows.ERROR_SHARING_VIOLATION }
