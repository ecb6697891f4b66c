//go:build unix

package fs

import (
	"os"
	"syscall"
)

// isOurs reports whether a file is a plain one of this user's, under one name
// only: writing to it changes nothing else.
func isOurs(fi os.FileInfo) bool {
	return isPlain(fi) && isOwnedByUs(fi)
}

// isOwnedByUs reports whether it is this user's.
func isOwnedByUs(fi os.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return !ok || int(st.Uid) == os.Geteuid()
}

// isPlain reports whether it is a regular file under one name.
func isPlain(fi os.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return fi.Mode().IsRegular() && (!ok || st.Nlink == 1)
}
