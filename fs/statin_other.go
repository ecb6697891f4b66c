//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package fs

import (
	"os"

	"github.com/spf13/afero"
)

// statIn describes what is called name, in the open folder.
func statIn(fsys afero.Fs, _ afero.File, name string) (Info, error) { return lookUp(fsys, name) }

// statTop describes what is directly in the open folder.
func statTop(*os.File, string) (Info, bool, error) { return Info{}, false, nil }
