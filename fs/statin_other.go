//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package fs

import "github.com/spf13/afero"

// statIn describes what is called name, in the open folder.
func statIn(fsys afero.Fs, _ afero.File, name string) (Info, error) { return lookUp(fsys, name) }

// stat describes what has the name. It is not done: there is no way that is quicker.
func (*homeFolder) stat(string) (Info, bool, error) { return Info{}, false, nil }

// statOpen describes an open file.
func statOpen(f handle) (Info, error) { return statFile(f) }
