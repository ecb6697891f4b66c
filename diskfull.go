package dlmanager

import "github.com/dlmanager/dlmanager/fs"

// freesDisk reports whether the download may go on after err: the disk was full,
// and for the first time; now it is not, or less so.
func (l *life) freesDisk(err error) bool {
	if l.freed || !fs.IsFull(err) {
		return false
	}
	l.freed = true
	return l.site.freeDisk(&l.ctx, l.Download, l.rest())
}

// rest is how many bytes the download still has to store, or a guess: as many as
// it has stored.
func (l *life) rest() int64 {
	if l.fetched.Exact {
		return max(l.fetched.Total-l.fetched.N, 1)
	}
	return max(l.fetched.N, minRoomStep)
}
