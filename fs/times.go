package fs

import (
	"os"
	"time"

	"github.com/djherbis/times"
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
	info := Info{Size: fi.Size(), Mode: fi.Mode(), ModTime: fi.ModTime(), LastUse: fi.ModTime()}
	if fi.Sys() == nil { // afero.MemMapFs: times.Get would panic
		return info
	}
	info.accessed = times.Get(fi).AccessTime()
	if info.accessed.After(info.LastUse) {
		info.LastUse = info.accessed
	}
	return info
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
