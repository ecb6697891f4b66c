package fs

import "golang.org/x/sys/windows"

// Free returns how many bytes the file system has for us; false where it does not
// say.
func (d *Dir) Free() (int64, bool) {
	path, err := windows.UTF16PtrFromString(d.path)
	if d.root == nil || err != nil {
		return 0, false
	}
	var free uint64
	if windows.GetDiskFreeSpaceEx(path, &free, nil, nil) != nil {
		return 0, false
	}
	return int64(min(free, mostBytes)), true
}
