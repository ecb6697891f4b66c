package fs

import (
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// keptFor is how long a folder that is kept open is used: for a burst of files in
	// it. A file that moves with its folder, or comes with another one of that name, may
	// be seen so much later; a folder that is removed is seen at once.
	keptFor = 10 * time.Millisecond
	// mostKept is how many folders are kept open.
	mostKept = 16
)

// subfolders are the folders below an open one in which files were looked for just
// now. They are kept open, so that what is in them is reached in one step. It is safe
// for concurrent use.
type subfolders struct {
	kept atomic.Pointer[map[string]*subfolder] // replaced, never changed: nobody waits to look; nil: none

	mu   sync.Mutex // for who replaces kept, and guards over
	over bool       // nothing is kept any more
}

type subfolder struct {
	dir      *os.File     // for nothing but its path (O_PATH)
	since    time.Time    // from before it was opened
	dev, ino uint64       // which it is
	seen     atomic.Int64 // under its name, so many nanoseconds after since
	users    atomic.Int32 // who uses dir, and who keeps it; the last one closes it
}

// inOpened calls fn with a descriptor of the folder of that name if it was opened just
// now, and else does nothing.
func (s *subfolders) inOpened(name string, fn func(fd int) error) (done bool, err error) {
	return s.inKept(name, fn, func(*subfolder) bool { return true })
}

// inSince is inOpened, and inNew, for the folder that has the name, or had it since a time.
func (s *subfolders) inSince(home *os.File, name string, since time.Time, fn func(fd int) error) (done bool, err error) {
	if done, err := s.inKept(name, fn, func(f *subfolder) bool { return f.wasAt(home, name, since) }); done {
		return true, err
	}
	return s.inNew(home, name, fn)
}

// inNew calls fn with a descriptor of the folder of that name below home, which is not
// reached by any link. It is not done where the kernel cannot tell in one step, or
// where there is a link, which is os.Root's to judge.
func (s *subfolders) inNew(home *os.File, name string, fn func(fd int) error) (done bool, err error) {
	since := time.Now()
	dir, err := openBelow(home, name)
	switch {
	case err == unix.ENOENT:
		return true, err
	case err != nil:
		return false, nil
	}
	f := newSubfolder(dir, since)
	defer f.release()
	err = at(dir, fn)
	s.keep(name, f)
	return true, err
}

// inKept calls fn if the folder was opened just now, has not been removed since, and
// may be used.
func (s *subfolders) inKept(name string, fn func(fd int) error, may func(*subfolder) bool) (done bool, err error) {
	f := s.get(name)
	if f == nil {
		return false, nil
	}
	defer f.release()
	if !may(f) {
		return false, nil
	}
	err = at(f.dir, fn)
	return err == nil || !isStale(f.dir, err), err
}

// get returns the folder if it was opened just now, for its caller to release; else nil.
func (s *subfolders) get(name string) *subfolder {
	f := s.folders()[name]
	if f == nil || time.Since(f.since) >= keptFor || !f.acquire() {
		return nil
	}
	return f
}

func (s *subfolders) folders() map[string]*subfolder {
	if kept := s.kept.Load(); kept != nil {
		return *kept
	}
	return nil
}

// newSubfolder returns a folder for its caller to release.
func newSubfolder(dir *os.File, since time.Time) *subfolder {
	var st unix.Stat_t
	_ = at(dir, func(fd int) error { return unix.Fstat(fd, &st) }) // else it is nowhere
	f := &subfolder{dir: dir, since: since, dev: uint64(st.Dev), ino: st.Ino}
	f.users.Store(1)
	return f
}

// acquire says that it is used once more, unless it is being closed.
func (f *subfolder) acquire() bool {
	for {
		users := f.users.Load()
		if users == 0 {
			return false
		}
		if f.users.CompareAndSwap(users, users+1) {
			return true
		}
	}
}

// release says that it is used once less.
func (f *subfolder) release() {
	if f.users.Add(-1) == 0 {
		_ = f.dir.Close() // nothing was written
	}
}

// wasAt reports whether the name leads to the folder, or did since a time: a look for
// one file counts for all that are on their way then.
func (f *subfolder) wasAt(home *os.File, name string, since time.Time) bool {
	if since.Sub(f.since) <= time.Duration(f.seen.Load()) {
		return true
	}
	now := time.Since(f.since)
	at := f.isAt(home, name)
	if at {
		f.seen.Store(int64(now))
	}
	return at
}

// isAt reports whether the name leads to the folder. Its number is nobody else's as long
// as it is open.
func (f *subfolder) isAt(home *os.File, name string) bool {
	var st unix.Stat_t
	err := at(home, func(fd int) error { return unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return err == nil && uint64(st.Dev) == f.dev && st.Ino == f.ino
}

// keep keeps the folder open, in place of one that had its name before.
func (s *subfolders) keep(name string, f *subfolder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.folders()
	old := before[name]
	if s.over || old != nil && old.since.After(f.since) {
		return
	}
	kept := map[string]*subfolder{}
	if old != nil || len(before) < mostKept { // else it is time for others
		maps.Copy(kept, before)
	}
	f.users.Add(1)
	kept[name] = f
	s.replace(kept)
}

// replace lets go of what is not kept any longer. It needs mu.
func (s *subfolders) replace(kept map[string]*subfolder) {
	before := s.folders()
	s.kept.Store(&kept)
	for name, f := range before {
		if kept[name] != f {
			f.release()
		}
	}
}

func (s *subfolders) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.replace(nil)
}

// isStale reports whether err may come from the folder's having been removed since it
// was opened. A folder has two names at least, but overlayfs says one of what it has
// merged, also when that is removed.
func isStale(dir *os.File, err error) bool {
	if err != unix.ENOENT {
		return err == unix.ESTALE
	}
	var st unix.Stat_t
	return at(dir, func(fd int) error { return unix.Fstat(fd, &st) }) != nil || st.Nlink < 2
}

// openBelow opens the folder: the kernel walks down to it in one step, and follows no
// link (openat2(2), RESOLVE_NO_SYMLINKS). It fails where the kernel is older, or may not.
func openBelow(home *os.File, name string) (dir *os.File, err error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	var fd int
	err = at(home, func(home int) (err error) {
		fd, err = unix.Openat2(home, name, &how)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// setTimes sets a file's time of access, and that of modification unless it is zero.
func (h *homeFolder) setTimes(name string, atime, mtime time.Time) (done bool, err error) {
	folder, base, ok := split(name)
	if !ok {
		return false, nil
	}
	times := []unix.Timespec{unix.NsecToTimespec(atime.UnixNano()), {Nsec: unix.UTIME_OMIT}}
	if !mtime.IsZero() {
		times[1] = unix.NsecToTimespec(mtime.UnixNano())
	}
	done, err = h.in(folder, func(fd int) error { return unix.UtimesNanoAt(fd, base, times, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		err = &os.PathError{Op: "utimensat", Path: name, Err: err}
	}
	return done, err
}
