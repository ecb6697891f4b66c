package fs

import (
	"os"
	"path/filepath"

	"github.com/spf13/afero"
)

var _ afero.Symlinker = rootFs{}

// NewRoot returns a file system in root: names are relative to it, and nothing
// outside can be reached, neither by a name nor through a link. It also is an
// afero.Symlinker and has LinkIfPossible, for hard links. root stays the caller's
// to close.
func NewRoot(root *os.Root) afero.Fs { return rootFs{root: root} }

// SymlinkIfPossible makes name a symbolic link to target. os.Root makes links that
// lead out, too, and follows none of them; others may.
func (r rootFs) SymlinkIfPossible(target, name string) error {
	return r.root.Symlink(filepath.FromSlash(target), filepath.FromSlash(name))
}

// ReadlinkIfPossible returns where the link called name leads.
func (r rootFs) ReadlinkIfPossible(name string) (string, error) {
	return r.root.Readlink(filepath.FromSlash(name))
}

// LinkIfPossible makes name a hard link to the file called target.
func (r rootFs) LinkIfPossible(target, name string) error {
	return r.root.Link(filepath.FromSlash(target), filepath.FromSlash(name))
}
