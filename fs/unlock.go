package fs

import (
	"os"
	"runtime"

	"github.com/spf13/afero"
)

// unlockFile gives up the lock that tryLock took. Closing the file does not do
// while a child process that was just forked has a copy of its descriptor.
func unlockFile(f afero.File) error {
	osf, ok := f.(*os.File)
	if !ok {
		return errNoLocks
	}
	err := unlockFD(osf.Fd()) // whoever has the lock keeps it open
	runtime.KeepAlive(osf)
	return err
}
