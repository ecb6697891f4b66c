package fs

import (
	"os"

	"golang.org/x/sys/unix"
)

// statBelow describes what has a name in folders below the open one: the kernel
// walks them, and follows no link (openat2(2), RESOLVE_NO_SYMLINKS). It is not done
// where the kernel is older, or may not.
func statBelow(dir *os.File, name string) (info Info, done bool, err error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	var st unix.Stat_t
	err = at(dir, func(home int) error {
		fd, err := unix.Openat2(home, name, &how)
		if err != nil {
			return err
		}
		err = unix.Fstat(fd, &st)
		_ = unix.Close(fd) // nothing was written
		return err
	})
	switch err {
	case nil:
		return infoFrom(&st), true, nil
	case unix.ENOENT:
		return Info{}, true, &os.PathError{Op: "openat2", Path: name, Err: err}
	}
	return Info{}, false, nil // a link on the way, for one, is os.Root's to judge
}
