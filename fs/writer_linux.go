package fs

import (
	"errors"
	"time"

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
func awaitNoWriter(f handle) {
	for wait := firstWriterWait; wait < mostWriterWait; wait *= 2 {
		_, err := withFD(f, func(fd int) error {
			_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK)
			if err == nil {
				_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK)
			}
			return err
		})
		if !errors.Is(err, unix.EAGAIN) { // there are none, or the file system has no leases
			return
		}
		time.Sleep(wait)
	}
}
