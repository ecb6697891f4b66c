//go:build !linux

package fs

import (
	"errors"

	"github.com/spf13/afero"
)

func allocate(afero.File, int64) error { return errors.ErrUnsupported }
