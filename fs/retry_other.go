//go:build !windows

package fs

import (
	"errors"
	"syscall"
)

func isBusy(err error) bool { return errors.Is(err, syscall.EBUSY) }

// isInUse reports whether a file could not be removed because somebody has it open.
func isInUse(err error) bool { return isBusy(err) }
