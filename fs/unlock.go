package fs

import (
	"os"

	"github.com/spf13/afero"
)

// unlockFile gives up the lock that tryLock took. Closing the file does not do
// while a child process that was just forked has a copy of its descriptor.
func unlockFile(f afero.File) error {
	osf, ok := f.(*os.File)
	if !ok {
		return errNoLocks
	}
	conn, err := osf.SyscallConn()
	if err != nil {
		return err
	}
	var unlockErr error
	if err := conn.Control(func(fd uintptr) { unlockErr = unlockFD(fd) }); err != nil {
		return err
	}
	return unlockErr
}
