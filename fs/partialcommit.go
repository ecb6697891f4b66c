package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"

	"github.com/spf13/afero"
)

// Commit flushes the data unless mode is SyncNone, closes the file and renames it
// to its final name, which it replaces; a directory there is an error and stays.
// After a failed flush, close or rename nothing is left. For SyncDir, call
// SyncName after it.
func (p *Partial) Commit(mode SyncMode) error {
	if !p.end() {
		return os.ErrClosed
	}
	if err := p.finish(mode); err != nil {
		return errors.Join(err, p.discard())
	}
	return nil
}

func (p *Partial) finish(mode SyncMode) error {
	if mode != SyncNone {
		if err := p.file.Sync(); err != nil {
			return err
		}
	}
	if err := p.restrict(); err != nil {
		return err
	}
	if err := p.close(); err != nil {
		return err
	}
	if p.perm&0o111 != 0 && p.lock != nil {
		awaitNoWriter(p.lock)
	}
	if p.lock != nil && unlinked(p.lock) {
		return fmt.Errorf("commit %s: %w", p.final, errRemoved) // its name may be that of another's by now
	}
	// Before the rename: after it the note's name may be that of another's.
	p.forgetNote()
	if err := p.rename(); err != nil {
		return err
	}
	if !p.leases || !p.share() {
		p.unlock()
	}
	return nil
}

// LeaseOnCommit makes the committed file leased from the first moment, until who calls
// TakeLease closes what that returns; Windows cannot.
func (p *Partial) LeaseOnCommit() { p.leases = true }

// TakeLease returns the lease on the committed file, nil if there is none.
func (p *Partial) TakeLease() afero.File {
	f, _ := p.lock.(afero.File) // what has become a lease is one
	p.lock = nil
	return f
}

// share turns the lock into a lease on the committed file. The lease is on a
// read-only descriptor: the file may become a program while it is leased.
func (p *Partial) share() bool {
	if p.lock == nil {
		return false
	}
	if shared, err := tryLockShared(p.lock); !shared || err != nil || !p.both {
		return shared && err == nil
	}
	lease, err := p.fsys.OpenFile(p.final, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return false
	}
	if shared, err := tryLockShared(lease); !shared || err != nil || !isSame(lease, p.lock) {
		_ = lease.Close() // read-only: nothing to lose
		return false
	}
	p.unlock()
	p.lock = lease
	return true
}

// isSame reports whether both are open on one file.
func isSame(a, b handle) bool {
	fa, err := a.Stat()
	if err != nil {
		return false
	}
	fb, err := b.Stat()
	return err == nil && os.SameFile(fa, fb)
}

// SyncName flushes the folder of a committed file, so that its name outlasts a
// power loss, too.
func (p *Partial) SyncName() error { return syncDir(p.fsys, path.Dir(p.final)) }

// restrict takes back the owner's bits that only writing needed.
func (p *Partial) restrict() error {
	extra := 0o600 &^ p.perm
	if extra == 0 {
		return nil
	}
	fi, err := p.file.Stat()
	if err != nil {
		return err
	}
	return p.fsys.Chmod(p.temp, fi.Mode().Perm()&^extra)
}

// rename gives the file its final name. The folder is made if it is not there,
// also when somebody takes it away, empty, at this very moment.
func (p *Partial) rename() error {
	if runtime.GOOS == "windows" { // which does not rename what is open
		p.unlock()
	}
	if p.lock == nil { // afero.MemMapFs would replace a directory; an operating system's rename refuses
		if fi, err := p.fsys.Stat(p.final); err == nil && fi.IsDir() {
			return &os.LinkError{Op: "rename", Old: p.temp, New: p.final, Err: errIsDir}
		}
	}
	if p.replaces {
		defer p.keepEvictorsOff()()
		p.replaced = Present(p.fsys, p.final)
	}
	for range maxCreateTries {
		err := retryBusy(p.renameOnce)
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if _, gone := p.fsys.Stat(p.temp); gone != nil {
			return err // it is the partial file that is not there
		}
		if err := makeFolder(p.fsys, path.Dir(p.final)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return fmt.Errorf("rename to %s: somebody removes its folder again and again", p.final)
}

// renameOnce renames the file into the folder that has its name, or had it since the
// partial file was made: as if that had been a moment ago.
func (p *Partial) renameOnce() error {
	if root, ok := p.fsys.(rootFs); ok {
		return root.renameSince(p.temp, p.final, p.began)
	}
	return p.fsys.Rename(p.temp, p.final)
}

// keepEvictorsOff waits until nobody is evicting the file that is to be replaced,
// and keeps it so until release is called: who has looked whether the name still
// leads to the old file would remove the new one.
func (p *Partial) keepEvictorsOff() (release func()) {
	if runtime.GOOS == "windows" { // which does not replace what is open
		return func() {}
	}
	old, err := p.fsys.OpenFile(p.final, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return func() {} // it is gone, or nobody can tell
	}
	_ = shareLock(context.Background(), p.fsys, p.final, old, mostLeaseWait) // lost: it is gone
	return func() { _ = old.Close() }
}
