//go:build unix

package fs

import (
	"os"

	"github.com/spf13/afero"
	"golang.org/x/sys/unix"
)

// lister returns what reads the open folder at path without a look at each file in
// it, and what closes that: of a folder that was opened through an os.Root,
// [os.File.ReadDir] looks at them all. Where the file system does not say in the
// folder what kind of file each is, they are looked at by path; what that says is
// not trusted further than which of them to open through the root.
func lister(folder afero.File, path string) (dir *os.File, done func()) {
	f, ok := folder.(*os.File)
	if !ok {
		return nil, func() {}
	}
	var fd int
	err := at(f, func(own int) (err error) {
		fd, err = unix.FcntlInt(uintptr(own), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return f, func() {}
	}
	dir = os.NewFile(uintptr(fd), path)
	return dir, func() { _ = dir.Close() } // read-only: nothing to lose
}
