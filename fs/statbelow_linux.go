package fs

import (
	"os"

	"golang.org/x/sys/unix"
)

// openBelow calls fn with a descriptor of what has a name in folders below the open
// one, for nothing but its path: the kernel walks them in one step, and follows no
// link (openat2(2), RESOLVE_NO_SYMLINKS). It is not done where the kernel is older,
// or may not, or where there is a link, which is os.Root's to judge.
func openBelow(dir *os.File, name string, flags uint64, fn func(fd int) error) (done bool, err error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC | flags,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	var fd int
	err = at(dir, func(home int) (err error) {
		fd, err = unix.Openat2(home, name, &how)
		return err
	})
	switch err {
	case nil:
		err = fn(fd)
		_ = unix.Close(fd) // nothing was written
		return true, err
	case unix.ENOENT:
		return true, err
	}
	return false, nil
}

// statBelow describes what has a name in folders below the open one.
func statBelow(dir *os.File, name string) (info Info, done bool, err error) {
	var st unix.Stat_t
	done, err = openBelow(dir, name, 0, func(fd int) error { return unix.Fstat(fd, &st) })
	switch {
	case !done || err != nil && err != unix.ENOENT:
		return Info{}, false, nil
	case err != nil:
		return Info{}, true, &os.PathError{Op: "openat2", Path: name, Err: err}
	}
	return infoFrom(&st), true, nil
}

// isPlainPath reports whether the name leads to a folder below the open one without
// any link, as far as the kernel can tell in one step.
func isPlainPath(dir *os.File, name string) bool {
	done, err := openBelow(dir, name, unix.O_DIRECTORY, func(int) error { return nil })
	return done && err == nil
}

// renameBelow gives the file called base in from a name in a folder below home.
func renameBelow(from *os.File, base string, home *os.File, folder, to string) (done bool, err error) {
	return openBelow(home, folder, unix.O_DIRECTORY, func(fd int) error {
		return at(from, func(dir int) error { return unix.Renameat(dir, base, fd, to) })
	})
}
