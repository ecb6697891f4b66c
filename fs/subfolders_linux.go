package fs

import (
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
	mu   sync.RWMutex // guards all below; not held while a folder is used, which a file system may let hang
	kept map[string]*subfolder
	over bool // nothing is kept any more
}

type subfolder struct {
	dir      *os.File     // for nothing but its path (O_PATH)
	since    time.Time    // from before it was opened
	dev, ino uint64       // which it is
	seen     atomic.Int64 // under its name, so many nanoseconds after since
	users    atomic.Int32 // who uses dir, and who keeps it; the last one closes it
}

// in calls fn with a descriptor of the folder of that name below home, which is not
// reached by any link. It is not done where the kernel cannot tell in one step, or
// where there is a link, which is os.Root's to judge.
func (s *subfolders) in(home *os.File, name string, fn func(fd int) error) (done bool, err error) {
	if done, err := s.inKept(name, fn, func(*subfolder) bool { return true }); done {
		return true, err
	}
	return s.inNew(home, name, fn)
}

// inSince is in for the folder that has the name, or had it since a time.
func (s *subfolders) inSince(home *os.File, name string, since time.Time, fn func(fd int) error) (done bool, err error) {
	if done, err := s.inKept(name, fn, func(f *subfolder) bool { return f.wasAt(home, name, since) }); done {
		return true, err
	}
	return s.inNew(home, name, fn)
}

// inNew opens the folder.
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
	s.mu.RLock()
	defer s.mu.RUnlock()
	f := s.kept[name]
	if f == nil || time.Since(f.since) >= keptFor {
		return nil
	}
	f.users.Add(1)
	return f
}

// newSubfolder returns a folder for its caller to release.
func newSubfolder(dir *os.File, since time.Time) *subfolder {
	var st unix.Stat_t
	_ = at(dir, func(fd int) error { return unix.Fstat(fd, &st) }) // else it is nowhere
	f := &subfolder{dir: dir, since: since, dev: uint64(st.Dev), ino: st.Ino}
	f.users.Store(1)
	return f
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
	old := s.kept[name]
	switch {
	case s.over, old != nil && old.since.After(f.since):
		return
	case old != nil:
		old.release()
	case len(s.kept) >= mostKept:
		s.drop()
	}
	if s.kept == nil {
		s.kept = map[string]*subfolder{}
	}
	f.users.Add(1)
	s.kept[name] = f
}

// drop keeps none any longer.
func (s *subfolders) drop() {
	for _, f := range s.kept {
		f.release()
	}
	clear(s.kept)
}

func (s *subfolders) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.drop()
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
