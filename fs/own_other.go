//go:build !unix

package fs

import "os"

// isOurs reports whether a file is one to write to.
func isOurs(fi os.FileInfo) bool { return isPlain(fi) }

// isOwnedByUs says no: that takes more than a file's description here.
func isOwnedByUs(os.FileInfo) bool { return false }

// isPlain reports whether it is a regular file.
func isPlain(fi os.FileInfo) bool { return fi.Mode().IsRegular() }
