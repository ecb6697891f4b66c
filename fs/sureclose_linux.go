package fs

import (
	"os"

	"golang.org/x/sys/unix"
)

// isSureToClose reports whether closing a file in the folder cannot fail. What close(2)
// returns is what the file system's flush operation says, and these have none, or one
// that says nothing: what they store, they store later. Overlayfs asks the file system
// below, which may be any.
func isSureToClose(dir *os.File) bool {
	var st unix.Statfs_t
	err := at(dir, func(fd int) error { return unix.Fstatfs(fd, &st) })
	return err == nil && isSureType(uint32(st.Type))
}

func isSureType(kind uint32) bool {
	switch kind {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC:
		return true
	}
	return false
}
