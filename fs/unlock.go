package fs

// unlockFile gives up the lock that tryLock took. Closing the file does not do
// while a child process that was just forked has a copy of its descriptor.
func unlockFile(f handle) error {
	done, err := withFD(f, func(fd int) error { return unlockFD(uintptr(fd)) })
	if !done {
		return errNoLocks
	}
	return err
}
