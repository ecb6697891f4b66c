package fs

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// rawFile is an open regular file that nobody outside this package gets. For an os.File
// the kernel is asked how it was opened, and the collector is told to close it should it
// be forgotten; a rawFile that is forgotten stays open. It is safe for concurrent use.
type rawFile struct {
	name string
	sure bool // to close it cannot fail

	mu sync.RWMutex // guards fd, and keeps it open while it is used
	fd int          // -1: it is closed
}

var _ handle = (*rawFile)(nil)

// createIn makes a new file in the folder.
func (f *openFolder) createIn(name, base string, perm os.FileMode) (handle, error) {
	fd, err := f.openFD(name, base, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, err
	}
	return &rawFile{name: name, sure: f.sure, fd: fd}, nil
}

// withFD calls fn with the descriptor of the open file, again if a signal came in
// between. It is not done with a file that has none.
func withFD(f handle, fn func(fd int) error) (done bool, err error) {
	switch f := f.(type) {
	case *rawFile:
		return true, f.with(fn)
	case *os.File:
		return true, at(f, fn) // whoever has it keeps it open
	}
	return false, nil
}

// with calls fn while the file is open, again if a signal came in between.
func (f *rawFile) with(fn func(fd int) error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.fd < 0 {
		return os.ErrClosed
	}
	err := fn(f.fd)
	for err == unix.EINTR {
		err = fn(f.fd)
	}
	return err
}

func (f *rawFile) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: f.name, Err: err}
}

// closesSurely reports whether to close it cannot fail.
func (f *rawFile) closesSurely() bool { return f.sure }

func (f *rawFile) Name() string { return f.name }

// WriteAt writes all of b: the kernel may take less at a time.
func (f *rawFile) WriteAt(b []byte, off int64) (written int, err error) {
	for written < len(b) && err == nil {
		var n int
		err = f.with(func(fd int) (err error) {
			n, err = unix.Pwrite(fd, b[written:], off+int64(written))
			return err
		})
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		written += max(n, 0)
	}
	return written, f.failed("write", err)
}

// ReadAt reads until b is full or the file ends, which is io.EOF.
func (f *rawFile) ReadAt(b []byte, off int64) (read int, err error) {
	for read < len(b) {
		var n int
		err = f.with(func(fd int) (err error) {
			n, err = unix.Pread(fd, b[read:], off+int64(read))
			return err
		})
		if err != nil {
			return read, f.failed("read", err)
		}
		if n == 0 {
			return read, io.EOF
		}
		read += n
	}
	return read, nil
}

func (f *rawFile) Truncate(size int64) error {
	return f.failed("truncate", f.with(func(fd int) error { return unix.Ftruncate(fd, size) }))
}

func (f *rawFile) Sync() error { return f.failed("sync", f.with(unix.Fsync)) }

// Stat describes the file by an os.File on a copy of the descriptor: os.SameFile knows
// no other description.
func (f *rawFile) Stat() (os.FileInfo, error) {
	var own int
	err := f.with(func(fd int) (err error) {
		own, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, f.failed("stat", err)
	}
	same := os.NewFile(uintptr(own), f.name)
	fi, err := same.Stat()
	return fi, errors.Join(err, same.Close())
}

// Close waits until nobody uses the file. A second time it is os.ErrClosed.
func (f *rawFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fd < 0 {
		return f.failed("close", os.ErrClosed)
	}
	fd := f.fd
	f.fd = -1
	err := unix.Close(fd)
	if err == unix.EINTR { // it is closed all the same (close(2))
		err = nil
	}
	return f.failed("close", err)
}
