//go:build !windows && (!unix || solaris || aix)

package fs

func tryLockFD(uintptr, bool) (bool, error) { return false, errNoLocks }
