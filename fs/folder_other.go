//go:build !unix

package fs

import (
	"os"
	"path/filepath"
	"time"
)

func (f *openFolder) openIn(_, base string, flag int, perm os.FileMode) (*os.File, error) {
	return f.self.OpenFile(base, flag, perm)
}

func (f *openFolder) setTimes(base string, atime, mtime time.Time) error {
	return f.self.Chtimes(base, atime, mtime)
}

func (f *openFolder) renameTo(base, to string, _ time.Time) error {
	return f.root.Rename(filepath.FromSlash(f.name+"/"+base), filepath.FromSlash(to))
}

func inOpen(*os.File, func(fd int) error) (bool, error) { return false, nil }
