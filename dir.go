package dlmanager

import (
	"context"
	"errors"
	"sync"
	"syscall"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
)

// Filler fills a directory from the archive, of which it is given the whole file,
// leased and at its beginning. into is the root of an empty folder; nothing outside
// can be reached through it, and it also is an [afero.Symlinker]. What is written
// through it counts against the cache's limit at once. A Filler need not close the
// archive. It should end when ctx does: from then on nothing can be written. It must
// not write any more when it has returned. Package unpack has fillers for archives.
type Filler func(ctx context.Context, archive *File, into afero.Fs) error

// Dir is a directory of the cache: an archive that was unpacked, say. No process
// evicts it until it is closed, which [DownloadManager.Close] does as well, or until
// the process ends: what is in it can be read and executed. That costs one open
// descriptor. When it is replaced by a newer version meanwhile, this one stays where
// it is until it is closed.
//
// It is shared by all who ask for it: who changes what is in it changes it for the
// others. The lease protects as that of a [File] does.
type Dir struct {
	file    afero.File // its entry, which has the lease
	m       *DownloadManager
	name    string
	tree    fs.Tree
	result  Result
	release func() // lets the manager's own limit have it
	closing sync.Once
	err     error // of the close
}

var _ syscall.Conn = (*Dir)(nil)

// Name returns the directory's name in the cache.
func (d *Dir) Name() string { return d.name }

// Path returns the directory's absolute path. While the entry lives, it stays the
// same; it is not made of the name.
func (d *Dir) Path() string { return d.m.dir.TreePath(d.tree) }

// Size returns how many bytes all its files have together.
func (d *Dir) Size() int64 { return d.tree.Bytes }

// Result returns how the archive was got: OriginCached if the directory was there,
// and OriginJoined if another process filled it meanwhile. Bytes and Digest, which
// is its SHA-256, are the archive's.
func (d *Dir) Result() Result { return d.result }

// SyscallConn gives access to the descriptor that has the lease: a child process
// that inherits it has the lease as well, for as long as it lives. It is good for
// nothing else.
func (d *Dir) SyscallConn() (syscall.RawConn, error) {
	conn, ok := d.file.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return conn.SyscallConn()
}

// CopyTo copies the directory to the path dst, outside the cache, whole or not at
// all. There dst must not be, or be an empty folder; else the error matches
// [os.ErrExist]. Missing parents are made. Permissions, modification times and links
// are those of the cache's; the copy is flushed as WithSync says. Where the file
// system lets files share their blocks (reflink), it takes no space.
func (d *Dir) CopyTo(ctx context.Context, dst string) error {
	return d.m.dir.CopyTree(ctx, d.tree, dst, d.m.cfg.defaults.sync)
}

// Close ends the lease. A second call does nothing, and returns what the first did.
func (d *Dir) Close() error {
	d.closing.Do(func() {
		d.err = d.file.Close()
		d.m.mu.Lock()
		delete(d.m.opened, d)
		d.m.mu.Unlock()
		d.release()
	})
	return d.err
}
