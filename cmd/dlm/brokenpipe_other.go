//go:build !windows

package main

import (
	"errors"
	"syscall"
)

// isBrokenPipe reports whether a write failed because its reader has gone away.
func isBrokenPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }
