//go:build unix

package http1

import "syscall"

// canTell says that isQuiet works here.
const canTell = true

// isQuiet reports whether nothing has come over a socket that does not block, not
// even its end.
func isQuiet(fd uintptr) bool {
	var one [1]byte
	_, err := syscall.Read(int(fd), one[:])
	return err == syscall.EAGAIN
}
