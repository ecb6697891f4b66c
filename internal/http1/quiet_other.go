//go:build !unix

package http1

// canTell says that there is no way to ask.
const canTell = false

func isQuiet(uintptr) bool { return false }
