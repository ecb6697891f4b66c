//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package fs

import "github.com/spf13/afero"

// statIn describes what is called name, in the open folder.
func statIn(fsys afero.Fs, _ afero.File, name string) (Info, error) { return lookUp(fsys, name) }

func (f *openFolder) statHome(name string) (Info, error) {
	fi, err := f.root.Lstat(name)
	if err != nil {
		return Info{}, err
	}
	return infoOf(fi), nil
}
