//go:build unix

package fs

import (
	"errors"
	"os"

	"github.com/spf13/afero"
	"golang.org/x/sys/unix"
)

// sharesDescriptor says that a file can be renamed while it is open, so that one
// descriptor can write it and hold its lock.
const sharesDescriptor = true

// closeCopy closes a copy of the file's descriptor, which makes a network file
// system say what it could not store as closing the file itself would (close(2)). The
// file, and a lock on it (flock(2)), stay.
func closeCopy(f afero.File) error {
	file, ok := f.(*os.File)
	if !ok {
		return nil
	}
	fd := -1
	err := at(file, func(own int) (err error) {
		fd, err = unix.FcntlInt(uintptr(own), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if err != nil { // no descriptor is free: another way to the same
		return f.Sync()
	}
	if err := unix.Close(fd); err != nil && !errors.Is(err, unix.EINTR) {
		return &os.PathError{Op: "close", Path: file.Name(), Err: err}
	}
	return nil
}
