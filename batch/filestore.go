package batch

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/afero"
)

// maxState bounds what is read: a state is a cursor and some numbers.
const maxState = 16 << 20

// FileStore is a [Store] in a file, which only its owner may read. Set aside, it
// has ".aside" behind its name.
type FileStore struct {
	path string
	fs   afero.Fs
}

var _ Store = (*FileStore)(nil)

// NewFileStore returns the store in the file path. Nothing is made yet; the folder
// has to be there.
func NewFileStore(path string) *FileStore { return &FileStore{path, afero.NewOsFs()} }

// Load implements [Store].
func (s *FileStore) Load() ([]byte, error) {
	f, err := s.fs.Open(s.path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read-only
	return io.ReadAll(io.LimitReader(f, maxState))
}

// Save implements [Store].
func (s *FileStore) Save(text []byte) error {
	return writeFile(s.fs, s.path, text)
}

// SetAside implements [Store]. It replaces what was set aside before.
func (s *FileStore) SetAside() error { return s.fs.Rename(s.path, s.path+".aside") }

// Remove implements [Store].
func (s *FileStore) Remove() error {
	if err := s.fs.Remove(s.path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// writeFile replaces a file, whole or not at all, also at a loss of power.
func writeFile(fsys afero.Fs, path string, text []byte) (err error) {
	f, err := afero.TempFile(fsys, filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = fsys.Remove(f.Name()) // the first error counts
		}
	}()
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return fsys.Rename(f.Name(), path)
}
