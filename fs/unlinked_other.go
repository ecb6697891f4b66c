//go:build !unix

package fs

// nonblock: there are no pipes in directories.
const nonblock = 0

// unlinked reports whether the open file has lost its last name. Elsewhere than
// on Unix a file that is open keeps its name.
func unlinked(handle) bool { return false }
