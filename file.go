package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
)

// File is a file of the cache, open for reading. No process evicts it until it is
// closed, which [DownloadManager.Close] does as well, or until the process ends:
// its path can be handed to another program, and executed. That costs one open
// descriptor. When the file is replaced by a newer version meanwhile, the File
// keeps what it was opened with, and the path leads to the new one.
//
// The lease is a shared lock on the file itself (flock(2)). Where the file system
// has no locks, it protects nothing; who removes the file by hand is not kept from
// that either. What was opened can be read to its end in any case, but for Windows.
//
// Several goroutines may use a File; Read, Seek and WriteTo share one offset.
type File struct {
	file    afero.File
	m       *DownloadManager
	name    string
	size    int64
	release func() // lets the manager's own limit have it
	closing sync.Once
	err     error // of the close
}

var (
	_ io.ReadSeekCloser = (*File)(nil)
	_ io.ReaderAt       = (*File)(nil)
	_ io.WriterTo       = (*File)(nil)
	_ syscall.Conn      = (*File)(nil)
)

// Get returns the file called name, open, and fetches it first if it is not
// there. url, name and opts are those of [DownloadManager.Download]. Should
// somebody evict the file before it is open, it is fetched again. Close it.
//
// When ctx ends first, Get returns the context's cause. The transfer then goes on
// for others who wait for it in Get, and for whoever has it as a [Download]. When
// there is nobody, it is interrupted, and what has arrived is kept.
func (m *DownloadManager) Get(ctx context.Context, url, name string, opts ...DownloadOption) (*File, error) {
	end, err := m.beginLease()
	if err != nil {
		return nil, err
	}
	defer end()
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		f, _, err := m.getOnce(ctx, url, name, opts)
		if !errors.Is(err, errLostRace) {
			return f, err
		}
	}
}

// errLostRace says that a file that was there is not there any more, or another
// one is.
var errLostRace = errors.New("file was evicted or replaced before it was open")

// getOnce is Get that gives up when somebody removes the file before it is open.
func (m *DownloadManager) getOnce(ctx context.Context, url, name string, opts []DownloadOption) (*File, Result, error) {
	d, leave := m.attend(url, name, opts)
	defer leave()
	release := m.holdName(d.name) // from before it lands
	if err := d.WaitContext(ctx); err != nil {
		release()
		return nil, Result{}, err
	}
	f, info, err := m.dir.Lease(ctx, d.name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = errLostRace
	case err == nil && !d.brought(info):
		err = errors.Join(errLostRace, f.Close())
	}
	if err != nil {
		release()
		return nil, Result{}, err
	}
	return m.newFile(d.name, f, info, release), d.Result(), nil
}

// Open returns the file called name, open, if it is there; else ErrNotCached. Close
// it. Opening counts as a use, as a hit does.
func (m *DownloadManager) Open(name string) (*File, error) {
	name, err := fs.CleanName(name)
	if err != nil {
		return nil, err
	}
	end, err := m.beginLease()
	if err != nil {
		return nil, err
	}
	defer end()
	release := m.holdName(name)
	f, info, err := m.dir.Lease(context.Background(), name) // which ends within seconds
	if err == nil {
		if other, differs := m.dir.Spelling(name); differs {
			err = &NameTakenError{Name: name, By: other, twin: true}
		} else {
			err = m.confirm(name, info)
		}
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		release()
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("open %s: %w", m.dir.Path(name), ErrNotCached)
		}
		return nil, err
	}
	m.noteUse(name, info)
	return m.newFile(name, f, info, release), nil
}

// noteUse records that the file is used now.
func (m *DownloadManager) noteUse(name string, info fs.Info) {
	now := time.Now()
	m.dir.Touch(name, info, now)
	m.limit.add(m.shelf, name, info.Size, now)
}

// holdName keeps the file from being evicted by this manager's own limit, which
// so need not try it again and again, and comes back to it on release.
func (m *DownloadManager) holdName(name string) (release func()) {
	return m.limit.hold(m.shelf, name)
}

// beginLease fails once the manager is being closed. Until end is called, Close
// waits.
func (m *DownloadManager) beginLease() (end func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shut != nil {
		return nil, ErrClosed
	}
	m.leasing.Add(1)
	return m.leasing.Done, nil
}

// newFile must be called between beginLease and its end.
func (m *DownloadManager) newFile(name string, file afero.File, info fs.Info, release func()) *File {
	f := &File{file: file, m: m, name: name, size: info.Size, release: release}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[f] = struct{}{} // so that a handle that is collected does not end the lease
	return f
}

// closeFiles ends all leases.
func (m *DownloadManager) closeFiles() error {
	m.leasing.Wait()
	var errs []error
	for {
		m.mu.Lock()
		var open io.Closer
		for f := range m.files {
			open = f
			break
		}
		for d := range m.opened {
			open = d
			break
		}
		m.mu.Unlock()
		if open == nil {
			return errors.Join(errs...)
		}
		errs = append(errs, open.Close())
	}
}

// Name returns the file's name in the cache.
func (f *File) Name() string { return f.name }

// Path returns the absolute path under which the file was opened.
func (f *File) Path() string { return f.m.dir.Path(f.name) }

// Size returns the file's size in bytes.
func (f *File) Size() int64 { return f.size }

// Read is io.Reader's.
func (f *File) Read(b []byte) (int, error) { return f.file.Read(b) }

// ReadAt is io.ReaderAt's.
func (f *File) ReadAt(b []byte, off int64) (int, error) { return f.file.ReadAt(b, off) }

// Seek is io.Seeker's.
func (f *File) Seek(offset int64, whence int) (int64, error) { return f.file.Seek(offset, whence) }

// WriteTo is io.WriterTo's. From the operating system's file to its sockets and
// files the kernel copies by itself.
func (f *File) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, f.file) }

// SyscallConn gives access to the descriptor, which has the lease: a child process
// that inherits it has the lease as well, for as long as it lives. It fails with
// errors.ErrUnsupported unless the file is the operating system's.
func (f *File) SyscallConn() (syscall.RawConn, error) {
	conn, ok := f.file.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return conn.SyscallConn()
}

// CopyTo copies the file, all of it, to the path dst, outside the cache: whole or
// not at all, in place of a file that is there. Missing folders are made; perm
// counts before the umask. The copy is flushed as WithSync says. It takes neither
// time nor space where the file system lets two files share their blocks (reflink).
func (f *File) CopyTo(ctx context.Context, dst string, perm os.FileMode) error {
	cfg := &f.m.cfg.defaults
	return fs.CopyTo(ctx, f.file, cfg.fs, dst, perm, cfg.sync)
}

// LinkTo makes dst a hard link to the file, in place of a file that is there.
// Missing folders are made. Both must lie on one file system. The two are one
// file from then on: who changes it changes the cache's content, and when the cache
// evicts it, that frees no space. ErrNotCached says that the file was replaced or
// removed meanwhile.
func (f *File) LinkTo(dst string) error {
	cfg := &f.m.cfg.defaults
	err := fs.LinkTo(f.file, f.Path(), cfg.fs, dst, cfg.sync)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrNotCached, err)
	}
	return err
}

// Close ends the lease. A second call does nothing, and returns what the first did.
func (f *File) Close() error {
	f.closing.Do(func() {
		f.err = f.file.Close()
		f.m.mu.Lock()
		delete(f.m.files, f)
		f.m.mu.Unlock()
		f.release()
	})
	return f.err
}
