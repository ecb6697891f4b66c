//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package fs

import (
	"os"
	"path"
	"time"

	"github.com/spf13/afero"
	"golang.org/x/sys/unix"
)

// statIn describes what is called name, in the open folder: one system call,
// where os.Root opens folder by folder. It follows no link.
func statIn(fsys afero.Fs, folder afero.File, name string) (Info, error) {
	dir, ok := folder.(*os.File)
	if !ok {
		return lookUp(fsys, name)
	}
	var st unix.Stat_t
	base := path.Base(name)
	if err := at(dir, func(fd int) error { return unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW) }); err != nil {
		return Info{}, &os.PathError{Op: "fstatat", Path: name, Err: err}
	}
	info := Info{
		Size: st.Size, Mode: os.FileMode(st.Mode & 0o777),
		ModTime: time.Unix(st.Mtim.Unix()), accessed: time.Unix(st.Atim.Unix()),
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG { // what else it is nobody here asks
		info.Mode |= os.ModeIrregular
	}
	info.LastUse = later(info.ModTime, info.accessed)
	return info, nil
}
