//go:build !windows && (!unix || solaris || aix || netbsd || openbsd)

package fs

// Free returns how many bytes the file system has for us; false where it does not
// say.
func (d *Dir) Free() (int64, bool) { return 0, false }
