package fs

import (
	"io"
	"os"
)

// handle is an open file, as far as a partial file needs one.
type handle interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Name() string
	Stat() (os.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}
