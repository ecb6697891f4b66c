//go:build !linux

package fs

import "os"

// isSureToClose: nobody can tell here.
func isSureToClose(*os.File) bool { return false }
