//go:build !linux

package fs

import "errors"

func allocate(handle, int64) error { return errors.ErrUnsupported }
