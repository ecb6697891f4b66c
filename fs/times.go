package fs

import (
	"os"
	"time"

	"github.com/djherbis/times"
	"github.com/spf13/afero"
)

// Info describes a finished file.
type Info struct {
	Size    int64 // bytes
	Mode    os.FileMode
	ModTime time.Time
	// LastUse is the later of the access and the modification time: a file
	// that was written and never read since was used when it was written.
	LastUse time.Time

	accessed time.Time // zero where the file system keeps no access times
}

func infoOf(fi os.FileInfo) Info {
	info := Info{Size: fi.Size(), Mode: fi.Mode(), ModTime: fi.ModTime(), accessed: accessTime(fi)}
	info.LastUse = later(info.ModTime, info.accessed)
	return info
}

func statFile(f handle) (Info, error) {
	fi, err := f.Stat()
	if err != nil {
		return Info{}, err
	}
	return infoOf(fi), nil
}

// Is reports whether this is the file that had the size and the modification
// time, to the last digit: a file of another time proves nothing.
func (i Info) Is(size int64, modTime time.Time) bool {
	return i.Size == size && i.ModTime.Equal(modTime)
}

// Present describes the regular file at path; nil if there is none.
func Present(fsys afero.Fs, path string) *Info {
	fi, err := Lstat(fsys, path)
	if err != nil || !fi.Mode().IsRegular() {
		return nil
	}
	info := infoOf(fi)
	return &info
}

// LastUse returns the later of the access and the modification time.
func LastUse(fi os.FileInfo) time.Time { return later(fi.ModTime(), accessTime(fi)) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// accessTime is zero where the file system keeps no access times.
func accessTime(fi os.FileInfo) time.Time {
	if fi.Sys() == nil { // afero.MemMapFs: times.Get would panic
		return time.Time{}
	}
	return times.Get(fi).AccessTime()
}

// touchAge is how old a time of last use may be before a hit renews it. Files
// are evicted after hours or days; five seconds save a system call to each hit
// of a burst and cost nothing in order.
const touchAge = 5 * time.Second

// isFresh reports whether the time of last use needs no renewal at now. One
// that lies in the future (the clock was set back) is renewed.
func (i Info) isFresh(now time.Time) bool {
	used := i.accessed
	if used.IsZero() {
		used = i.ModTime
	}
	age := now.Sub(used)
	return age >= 0 && age < touchAge
}
