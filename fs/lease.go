package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"github.com/spf13/afero"
)

// A lease is a shared lock on the finished file itself, through a descriptor that
// can only read: the program in the file can be executed while it is held, there
// is no file to clean up, and it ends with its holder. Who evicts takes the lock
// for itself alone, without waiting, and removes the file while it has it.

const (
	// A file is locked exclusively only while a name is removed or given, some
	// tens of microseconds, or while a machine that has too much to do gets round
	// to it.
	firstLeaseWait = 50 * time.Microsecond
	lastLeaseWait  = 5 * time.Millisecond
	// mostLeaseWait is how long who has the lock may take. After that he is
	// frozen, and keeps the file from all who evict.
	mostLeaseWait = 2 * time.Second
)

// Lease opens the finished file called name for reading. Until it is closed,
// Evict does not remove it, in no process. A file that is not there (any more) is
// os.ErrNotExist.
//
// Where the file system has no locks, and where somebody who holds the lock alone
// is frozen, the file is opened all the same.
func (d *Dir) Lease(ctx context.Context, name string) (afero.File, Info, error) {
	for range maxCreateTries {
		f, err := d.fsys.OpenFile(name, os.O_RDONLY|nonblock, 0)
		if err != nil {
			return nil, Info{}, err
		}
		if err = shareLock(ctx, d.fsys, name, f, mostLeaseWait); err == nil {
			err = leadsTo(d.fsys, name, f)
		}
		if err == nil {
			var fi os.FileInfo
			if fi, err = f.Stat(); err == nil {
				return f, infoOf(fi), nil
			}
		}
		_ = f.Close() // read-only: nothing to lose
		if !errors.Is(err, errLost) {
			return nil, Info{}, err
		}
	}
	return nil, Info{}, fmt.Errorf("open %s: somebody replaces it again and again", d.Path(name))
}

// shareLock takes the shared lock, and waits at most for most while somebody has
// it alone. Without an error it has it, or there is none to be had. errLost and
// os.ErrNotExist say that the name does not lead to the file any more.
func shareLock(ctx context.Context, fsys afero.Fs, name string, f afero.File, most time.Duration) error {
	began := time.Now()
	for wait := firstLeaseWait; ; wait = min(2*wait, lastLeaseWait) {
		locked, err := tryLockShared(f)
		if locked || err != nil || time.Since(began) >= most {
			return nil
		}
		if err := leadsTo(fsys, name, f); err != nil {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// leadsTo fails unless the name is that of the open file: with errLost if it is
// another's by now, and with os.ErrNotExist if there is no regular file.
func leadsTo(fsys afero.Fs, name string, f afero.File) error {
	there, err := Lstat(fsys, name)
	if err != nil {
		return err
	}
	if there.IsDir() {
		return &os.PathError{Op: "open", Path: name, Err: errIsDir}
	}
	if !there.Mode().IsRegular() {
		return &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	open, err := f.Stat()
	if err != nil {
		return err
	}
	if open.Sys() != nil && !os.SameFile(there, open) { // in memory nobody can tell
		return errLost
	}
	return nil
}

// Evict removes the finished file called name, and the folders that are empty
// then, unless somebody holds it open: then it is ErrLeased. Not being there is
// os.ErrNotExist.
func (d *Dir) Evict(name string) error {
	f, err := d.fsys.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if errors.Is(err, os.ErrPermission) && d.isOwn(name) {
		return d.Remove(name) // others may not open it, either
	}
	if err != nil {
		return err
	}
	defer f.Close() // read-only; it ends the lock
	if err := lockUnleased(d.fsys, name, f); err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	counted := d.leaving(fi.Size())
	err = d.fsys.Remove(name)
	counted(err == nil)
	if isInUse(err) {
		return ErrLeased
	}
	if err != nil {
		return err
	}
	d.removed(name)
	return nil
}

// isOwn reports whether the file is this user's.
func (d *Dir) isOwn(name string) bool {
	fi, err := Lstat(d.fsys, name)
	return err == nil && isOwnedByUs(fi)
}

// removed forgets the file that was removed, and removes the folders that are
// empty then.
func (d *Dir) removed(name string) {
	d.forget(name)
	for dir := path.Dir(name); dir != "." && d.removeEmpty(dir); dir = path.Dir(dir) {
	}
}

// lockUnleased locks the open file, which has to be called name still, so that
// nobody leases it. ErrLeased: somebody has.
func lockUnleased(fsys afero.Fs, name string, f afero.File) error {
	switch locked, err := tryLock(f); {
	case errors.Is(err, errNoLocks): // then nobody has one
	case err != nil:
		return err
	case !locked:
		return ErrLeased
	}
	if err := leadsTo(fsys, name, f); errors.Is(err, errLost) {
		return ErrLeased // by whoever has just replaced it
	} else if err != nil {
		return err
	}
	return nil
}
