//go:build !linux

package fs

// awaitNoWriter is for systems that tell whether a file is open for writing, and
// refuse to execute one that is.
func awaitNoWriter(handle) {}
