//go:build unix

package fs

import (
	"os"
	"path"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// openIn opens a file in the folder. It follows no link, so that there is nothing
// for os.Root to guard against; that would set up each file for polling, at five
// system calls more.
func (f *openFolder) openIn(name, base string, flag int, perm os.FileMode) (*os.File, error) {
	fd, err := f.openFD(name, base, flag, perm)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (f *openFolder) openFD(name, base string, flag int, perm os.FileMode) (fd int, err error) {
	err = at(f.dir, func(dir int) (err error) {
		fd, err = unix.Openat(dir, base, flag|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(perm.Perm()))
		return err
	})
	if err != nil {
		return -1, &os.PathError{Op: "openat", Path: name, Err: err}
	}
	return fd, nil
}

func (f *openFolder) setTimes(base string, atime, mtime time.Time) error {
	times := []unix.Timespec{unix.NsecToTimespec(atime.UnixNano()), unix.NsecToTimespec(mtime.UnixNano())}
	err := at(f.dir, func(dir int) error {
		return unix.UtimesNanoAt(dir, base, times, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		return &os.PathError{Op: "utimensat", Path: f.name + "/" + base, Err: err}
	}
	return nil
}

func (f *openFolder) renameTo(base, to string, since time.Time) error {
	done, err := false, error(nil)
	if folder, name, ok := split(to); ok {
		done, err = f.home.inSince(folder, since, func(fd int) error {
			return at(f.dir, func(dir int) error { return unix.Renameat(dir, base, fd, name) })
		})
	}
	if !done {
		return f.root.Rename(f.name+"/"+base, to)
	}
	if err != nil {
		return &os.LinkError{Op: "renameat", Old: f.name + "/" + base, New: to, Err: err}
	}
	return nil
}

// inSince is in for what must not get into a folder that had moved out of the root
// before a time.
func (h *homeFolder) inSince(folder string, since time.Time, fn func(fd int) error) (done bool, err error) {
	return h.reach(folder, since, fn)
}

// split splits a name into its folder, as for in, and the last part. It is not done
// with names that have none, that lead out of the root, or that mean other things
// elsewhere.
func split(name string) (folder, base string, done bool) {
	folder, base = path.Split(name)
	done = base != "" && base != "." && base != ".." && name[0] != '/' && !strings.Contains(name, `\`)
	return strings.TrimRight(folder, "/"), base, done
}

// inOpen calls fn with the open folder's descriptor.
func inOpen(dir *os.File, fn func(fd int) error) (done bool, err error) { return true, at(dir, fn) }

// at calls fn with the descriptor of a file that the caller keeps open meanwhile, again
// if a signal came in between. os.File.SyscallConn would keep it open itself, for
// which it takes memory and time.
func at(f *os.File, fn func(fd int) error) error {
	fd := int(f.Fd())
	err := fn(fd)
	for err == unix.EINTR {
		err = fn(fd)
	}
	runtime.KeepAlive(f)
	return err
}
