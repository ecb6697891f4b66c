//go:build unix

package fs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// sharesDescriptor says that a file can be renamed while it is open, so that one
// descriptor can write it and hold its lock.
const sharesDescriptor = true

// closeCopy closes a copy of the file's descriptor, which makes a network file
// system say what it could not store as closing the file itself would (close(2)). The
// file, and a lock on it (flock(2)), stay.
func closeCopy(f handle) error {
	if sure, ok := f.(interface{ closesSurely() bool }); ok && sure.closesSurely() {
		return nil // it would have nothing to say
	}
	fd := -1
	done, err := withFD(f, func(own int) (err error) {
		fd, err = unix.FcntlInt(uintptr(own), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if !done {
		return nil
	}
	if err != nil { // no descriptor is free: another way to the same
		return f.Sync()
	}
	if err := unix.Close(fd); err != nil && !errors.Is(err, unix.EINTR) {
		return &os.PathError{Op: "close", Path: f.Name(), Err: err}
	}
	return nil
}
