package fs

import (
	"errors"

	"github.com/spf13/afero"
)

// ErrLeased is returned for a file that somebody holds open: it is not removed.
var ErrLeased = errors.New("file is in use")

// errNoLocks says that the file system has no locks: it is not the operating
// system's, or the operating system's has none (some network file systems).
var errNoLocks = errors.New("file locks are not supported here")

// tryLock takes an exclusive lock on f without waiting and reports whether it
// got it. The lock belongs to the open file, not to the process, so that two
// users in one process exclude each other as well; it ends when f is closed or
// its process dies.
//
// It locks a descriptor that was opened through the rooted directory. A lock
// library that opens by path would step around the root.
func tryLock(f handle) (bool, error) { return tryLockFile(f, false) }

// tryLockShared is tryLock for a lock that others may have at the same time. It
// is on the open file as well: a copy of its descriptor, in a child process say,
// keeps it.
func tryLockShared(f handle) (bool, error) { return tryLockFile(f, true) }

func tryLockFile(f handle, shared bool) (locked bool, err error) {
	done, err := withFD(f, func(fd int) (err error) {
		locked, err = tryLockFD(uintptr(fd), shared)
		return err
	})
	if !done {
		return false, errNoLocks
	}
	return locked, err
}

// TryLock takes an exclusive lock on f without waiting and reports whether it got
// it. The lock belongs to the open file and ends when f is closed or its process
// dies. Where the file system has no locks, it is an error.
func TryLock(f afero.File) (bool, error) { return tryLock(f) }
