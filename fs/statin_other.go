//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package fs

import "github.com/spf13/afero"

// statIn describes what is called name, in the open folder.
func statIn(fsys afero.Fs, _ afero.File, name string) (Info, error) { return lookUp(fsys, name) }
