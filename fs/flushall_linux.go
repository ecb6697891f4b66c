package fs

import (
	"os"

	"golang.org/x/sys/unix"
)

// flushAll flushes the file system on which the folder lies (syncfs(2)). It is not
// done where the kernel cannot.
func flushAll(folder *os.Root) (done bool, err error) {
	f, err := folder.Open(".")
	if err != nil {
		return false, err
	}
	defer f.Close() // read-only: nothing to lose
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	if failed := conn.Control(func(fd uintptr) { err = unix.Syncfs(int(fd)) }); failed != nil {
		return false, failed
	}
	return err != unix.ENOSYS, err
}
