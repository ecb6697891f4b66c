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
	return statAt(dir, path.Base(name), name)
}

// statAt describes what is called base in the folder. name is for messages.
func statAt(dir *os.File, base, name string) (Info, error) {
	var st unix.Stat_t
	if err := at(dir, func(fd int) error { return unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW) }); err != nil {
		return Info{}, &os.PathError{Op: "fstatat", Path: name, Err: err}
	}
	return infoFrom(&st), nil
}

// statOpen describes an open file, without the memory that os.File.Stat takes.
func statOpen(f handle) (Info, error) {
	var st unix.Stat_t
	done, err := withFD(f, func(fd int) error { return unix.Fstat(fd, &st) })
	if !done {
		return statFile(f)
	}
	if err != nil {
		return Info{}, &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	return infoFrom(&st), nil
}

func infoFrom(st *unix.Stat_t) Info {
	info := Info{
		Size: st.Size, Mode: os.FileMode(st.Mode & 0o777),
		ModTime: time.Unix(st.Mtim.Unix()), accessed: time.Unix(st.Atim.Unix()),
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		info.Mode |= os.ModeDir
	default: // what else it is nobody here asks
		info.Mode |= os.ModeIrregular
	}
	info.LastUse = later(info.ModTime, info.accessed)
	return info
}

// stat describes what has the name, below the root as for os.Root. It is not done where
// there is no way that is quicker.
func (h *homeFolder) stat(name string) (info Info, done bool, err error) {
	folder, base, ok := split(name)
	if !ok {
		return Info{}, false, nil
	}
	var st unix.Stat_t
	done, err = h.in(folder, func(fd int) error { return unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW) })
	switch {
	case !done:
		return Info{}, false, nil
	case err != nil:
		return Info{}, true, &os.PathError{Op: "fstatat", Path: name, Err: err}
	}
	return infoFrom(&st), true, nil
}
