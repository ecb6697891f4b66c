//go:build unix && !solaris && !aix && !netbsd && !openbsd

package fs

import "golang.org/x/sys/unix"

// Free returns how many bytes the file system has for us; false where it does not
// say.
func (d *Dir) Free() (int64, bool) {
	var st unix.Statfs_t
	if d.root == nil || unix.Statfs(d.path, &st) != nil {
		return 0, false
	}
	return int64(min(uint64(st.Bavail), mostBytes/max(uint64(st.Bsize), 1)) * uint64(st.Bsize)), true
}
