//go:build !unix

package fs

import "os"

// isOurs reports whether a file is one to write to.
func isOurs(fi os.FileInfo) bool { return isPlain(fi) }

// isPlain reports whether it is a regular file.
func isPlain(fi os.FileInfo) bool { return fi.Mode().IsRegular() }
