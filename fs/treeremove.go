package fs

import (
	"errors"
	"os"
	"runtime"

	"github.com/spf13/afero"
)

const isWindows = runtime.GOOS == "windows"

// removeAll removes the folder with all that is in it, also where a folder in it
// may not be written: archives hold such folders.
func removeAll(fsys afero.Fs, folder string) error {
	err := fsys.RemoveAll(folder)
	if !errors.Is(err, os.ErrPermission) {
		return err
	}
	_ = afero.Walk(fsys, folder, func(path string, fi os.FileInfo, err error) error {
		if fi != nil && fi.IsDir() && fi.Mode().Perm()&0o700 != 0o700 {
			_ = fsys.Chmod(path, fi.Mode().Perm()|0o700) // RemoveAll says whether that did
		}
		return nil
	})
	return fsys.RemoveAll(folder)
}
