//go:build !linux

package fs

import (
	"os"
	"runtime"
)

// createIn makes a new file in the folder.
func (f *openFolder) createIn(name, base string, perm os.FileMode) (handle, error) {
	return file(f.openIn(name, base, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm))
}

// withFD calls fn with the descriptor of the open file, which its caller keeps open. It
// is not done with one that has none.
func withFD(f handle, fn func(fd int) error) (done bool, err error) {
	osf, ok := f.(*os.File)
	if !ok {
		return false, nil
	}
	err = fn(int(osf.Fd()))
	runtime.KeepAlive(osf)
	return true, err
}
