//go:build !unix

package fs

import "github.com/spf13/afero"

// sharesDescriptor says that a file can be renamed while it is open, so that one
// descriptor can write it and hold its lock.
const sharesDescriptor = false

func closeCopy(afero.File) error { return nil }
