//go:build !windows

package fs

import "syscall"

func busyError() error { return syscall.EBUSY }
