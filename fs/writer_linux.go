package fs

import (
	"errors"
	"os"
	"time"

	"github.com/spf13/afero"
	"golang.org/x/sys/unix"
)

const (
	firstWriterWait = 50 * time.Microsecond
	// mostWriterWait bounds the wait: a child goes from fork to exec in less than
	// a millisecond, unless the machine is overloaded.
	mostWriterWait = time.Second
)

// awaitNoWriter waits until nobody has the file open for writing, so that it can
// be executed (ETXTBSY, execve(2)). It is closed here, but a child that another
// goroutine has started has a copy of every descriptor until its exec is done,
// which is a little later than syscall.ForkLock is given back. The kernel tells:
// a read lease is given only on a file without writers (F_SETLEASE, fcntl(2)).
func awaitNoWriter(f afero.File) {
	file, ok := f.(*os.File)
	if !ok {
		return
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return
	}
	for wait := firstWriterWait; wait < mostWriterWait; wait *= 2 {
		_ = conn.Control(func(fd uintptr) {
			if _, err = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK); err == nil {
				_, _ = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
			}
		})
		if !errors.Is(err, unix.EAGAIN) { // there are none, or the file system has no leases
			return
		}
		time.Sleep(wait)
	}
}
