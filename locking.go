package dlmanager

import (
	"slices"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/digest"
)

// How downloads use a LockFile.

// WithLockFile holds each file against what the lock file has for its URL, whether it
// is fetched or there already, as WithChecksum would; one that does not match never gets
// its name. The digest of a URL that is not in it yet is recorded before the file gets
// its name; a file that is there counts only if it came from the URL. A checksum that is
// asked for as well must match, too. nil: none.
func WithLockFile(l *LockFile) DownloadOption {
	return downloadOption(func(c *downloadConfig) {
		c.lock = l
		c.sha256 = c.sha256 || l != nil
	})
}

// lockedCheck returns the check that the lock file asks for; nil: none.
func (d *Download) lockedCheck() (*check, error) {
	lock := d.cfg.lock
	if lock == nil {
		return nil, nil
	}
	line, ok := lock.find(d.url)
	switch {
	case ok:
		c, err := newCheck(line.digest.String(), d.cfg.fs, nil)
		if err == nil {
			c.lock = lock.place(line)
		}
		return c, err
	case lock.frozen:
		return nil, &NotLockedError{File: lock.shown, URL: lockKey(d.url)}
	}
	return nil, nil
}

// locks reports whether the file's entry is what the lock file has, which then has
// nothing to record.
func (d *Download) locks(e fs.Entry) bool {
	if d.cfg.lock == nil {
		return true
	}
	line, ok := d.cfg.lock.find(d.url)
	known, hashed := digestIn(e.Digests, digest.SHA256)
	return ok && hashed && known == line.digest
}

// lockReceived holds what was received against the lock file.
func (l *life) lockReceived() error {
	if l.cfg.lock == nil {
		return nil
	}
	i := slices.IndexFunc(l.sums, func(d digest.Digest) bool { return d.Algorithm == digest.SHA256 })
	return l.cfg.lock.hold(&l.ctx, l.url, l.sums[i]) // WithLockFile has asked for it
}

// lockThere holds the file that is there against the lock file. It returns why it has
// to be fetched anew.
func (l *life) lockThere(e fs.Entry) (why string, err error) {
	if l.locks(e) {
		return "", nil
	}
	known, hashed := digestIn(e.Digests, digest.SHA256)
	line, locked := l.cfg.lock.find(l.url)
	switch {
	case locked:
		return "it is not what " + l.cfg.lock.place(line) + " has", nil
	case !hashed || e.Identity != identity(l.url):
		return "nothing says that it came from this URL, which the lock file does not have yet", nil
	}
	return "", l.cfg.lock.hold(&l.ctx, l.url, known)
}
