package dlmanager

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
)

// shelf is a place where registered files live: one for each manager's
// directory, one for plain paths. All I/O goes through it, so that a manager's
// files are reached through its rooted directory. It must be comparable; its
// methods are called without any lock held, and path does no I/O.
type shelf interface {
	stat(name string) (size int64, lastUse time.Time, err error) // os.ErrNotExist: no (regular) file there
	remove(name string) error
	path(name string) string // absolute
	evicted(Removed)
	exceeded(LimitUsage) // the limit is exceeded and nothing is left to evict; once each time it comes to that
}

// plainShelf holds the files that are registered by their path. Their names
// are absolute paths.
type plainShelf struct {
	fsys   afero.Fs
	logger *slog.Logger
}

func (s *plainShelf) stat(name string) (int64, time.Time, error) {
	fi, err := fs.Lstat(s.fsys, name)
	if err != nil {
		return 0, time.Time{}, err
	}
	if !fi.Mode().IsRegular() { // the file that was registered is gone
		return 0, time.Time{}, &os.PathError{Op: "stat", Path: name, Err: os.ErrNotExist}
	}
	return fi.Size(), fs.LastUse(fi), nil
}

func (s *plainShelf) remove(name string) error { return fs.Remove(s.fsys, name) }

func (s *plainShelf) path(name string) string { return name }

func (s *plainShelf) evicted(r Removed) {
	s.logger.Info("evicted", "path", r.Path, "bytes", r.Size, "last_use", r.LastUse)
}

func (s *plainShelf) exceeded(u LimitUsage) {
	s.logger.Warn("size limit exceeded, nothing left to evict", "files", u.Files,
		"bytes", u.Bytes, "reserved", u.Reserved, "limit", u.Limit, "over", u.Over)
}

var (
	errNotRegular = errors.New("not a regular file")
	errOwnFile    = errors.New("a file of the cache's own or of a running download")
)

// RegisterFile puts the regular file at path under the limit. It evicts
// nothing; RemoveOldFiles and downloads do. Registering a file again counts it
// once, with its size and last use of now. What is no regular file, or not
// finished, is refused.
func (p *PersistLimit) RegisterFile(path string) error {
	abs, err := filepath.Abs(path)
	if err == nil {
		err = p.register(abs)
	}
	if err != nil {
		return fmt.Errorf("register %s: %w", path, err)
	}
	return nil
}

// RegisterDirContent puts the regular files directly in dir whose base names
// match pattern (see filepath.Match; "*" is all) under the limit. Folders,
// links, unfinished files and CACHEDIR.TAG are passed over, and so is what
// vanishes meanwhile.
func (p *PersistLimit) RegisterDirContent(dir, pattern string) error {
	abs, err := filepath.Abs(dir)
	if err == nil {
		err = p.registerMatching(abs, pattern)
	}
	if err != nil {
		return fmt.Errorf("register files in %s: %w", dir, err)
	}
	return nil
}

func (p *PersistLimit) register(path string) error {
	if isOwn(path) {
		return errOwnFile
	}
	fi, err := fs.Lstat(p.plain.fsys, path)
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return errNotRegular
	}
	p.mu.Lock()
	defer p.unlock()
	d, name := p.ownerOf(path)
	p.enter(d, name, fi.Size(), fs.LastUse(fi))
	return nil
}

// ownerOf returns where the file at path is accounted, and its name there: in
// the directory of a manager (the innermost), if it lies in one.
func (p *PersistLimit) ownerOf(path string) (*limitDir, string) {
	owner, ownName := p.dirs[p.plain], path
	for _, d := range p.dirs {
		if name, ok := d.nameOf(path); ok && len(d.root) > len(owner.root) {
			owner, ownName = d, name
		}
	}
	return owner, ownName
}

func (p *PersistLimit) registerMatching(dir, pattern string) error {
	if _, err := filepath.Match(pattern, ""); err != nil {
		return fmt.Errorf("pattern %q: %w", pattern, err)
	}
	if inOwnDir(dir) {
		return errOwnFile
	}
	f, err := p.plain.fsys.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close() // read-only: nothing to lose
	var errs []error
	err = fs.EachName(f, func(base string) error {
		if ok, _ := filepath.Match(pattern, base); ok {
			errs = append(errs, p.registerFound(filepath.Join(dir, base)))
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// registerFound is register for a name that was found, not asked for.
func (p *PersistLimit) registerFound(path string) error {
	err := p.register(path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, errNotRegular) || errors.Is(err, errOwnFile) {
		return nil
	}
	return err
}

// isOwn reports whether path is no finished file but part of a cache's own
// books, or the hidden partial file of a download.
func isOwn(path string) bool {
	base := filepath.Base(path)
	return inOwnDir(path) || base == "CACHEDIR.TAG" ||
		fs.IsHiddenPartial(base)
}

// inOwnDir reports whether a part of path is a cache's directory for itself,
// also where a file system does not tell the cases apart.
func inOwnDir(path string) bool {
	for part := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		if strings.EqualFold(part, ".dlm") {
			return true
		}
	}
	return false
}
