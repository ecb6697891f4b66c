package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"github.com/dlmanager/dlmanager/fs"
)

// FileInfo describes a finished file in the cache.
type FileInfo struct {
	Name    string // in the cache, with slashes
	Path    string // absolute
	Size    int64  // bytes
	ModTime time.Time
	LastUse time.Time // the later of its access and modification time

	info fs.Info
	dir  *fs.Dir
}

// Remembered is what the cache remembers of a file beside the file itself.
type Remembered struct {
	URL     string    // it came from, without secrets
	Fetched time.Time // when
	Digest  string    // "sha256:…" or another; "": none is known
}

// Remembered returns what is remembered of the file. ok is false if nothing is:
// another program put it there or changed it, or the cache's journal was lost. The
// manager that the FileInfo comes from must not be closed. The first call reads the
// journal, which takes about a second for a million files.
func (f FileInfo) Remembered() (r Remembered, ok bool) {
	if f.dir == nil {
		return Remembered{}, false
	}
	e, ok := f.dir.Entry(f.Name, f.info)
	if !ok {
		return Remembered{}, false
	}
	return Remembered{URL: e.URL, Fetched: e.Fetched, Digest: firstDigest(e.Digests)}, true
}

func (m *DownloadManager) fileInfo(name string, info fs.Info) FileInfo {
	return FileInfo{
		Name: name, Path: m.dir.Path(name), Size: info.Size, ModTime: info.ModTime, LastUse: info.LastUse,
		info: info, dir: m.dir,
	}
}

// errStopped ends a walk whose reader has had enough.
var errStopped = errors.New("stopped")

// Files returns the finished files, in no order, as they are found: what comes or
// goes meanwhile may be among them or not, and any may be gone when it is looked at
// again. It holds a folder's names at most, however many files there are. An error
// stands for folders or files that could not be read, or for a manager that is
// closed; it comes last, with a zero FileInfo.
func (m *DownloadManager) Files() iter.Seq2[FileInfo, error] {
	return func(yield func(FileInfo, error) bool) {
		err := m.eachFile(context.Background(), func(f FileInfo) error {
			if !yield(f, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(FileInfo{}, err)
		}
	}
}

// eachFile calls fn for the finished files until fn or ctx ends it.
func (m *DownloadManager) eachFile(ctx context.Context, fn func(FileInfo) error) error {
	if m.isClosed() {
		return ErrClosed
	}
	return m.dir.Walk(ctx, func(name string, info fs.Info) error {
		return fn(m.fileInfo(name, info))
	})
}

// Stat describes the finished file called name, and is no use of it. A file that
// is not there is ErrNotCached.
func (m *DownloadManager) Stat(name string) (FileInfo, error) {
	name, err := fs.CleanName(name)
	if err != nil {
		return FileInfo{}, err
	}
	if m.isClosed() {
		return FileInfo{}, ErrClosed
	}
	info, err := m.dir.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return FileInfo{}, notCached(name)
	}
	if err != nil {
		return FileInfo{}, err
	}
	return m.fileInfo(name, info), nil
}

func notCached(name string) error { return fmt.Errorf("%q: %w", name, ErrNotCached) }

// Remove removes the file called name, whenever it was used, and what an earlier
// download of it has left unfinished. ErrNotCached says that neither was there;
// ErrInUse that somebody has the file open, or that it is being downloaded: wait
// for that, or cancel it. A download that is started meanwhile may find the file
// and lose it.
func (m *DownloadManager) Remove(name string) error {
	name, err := fs.CleanName(name)
	if err != nil {
		return err
	}
	if m.isClosed() {
		return ErrClosed
	}
	if err := m.remove(name); errors.Is(err, os.ErrNotExist) {
		return notCached(name)
	} else if err != nil {
		return fmt.Errorf("remove %q: %w", name, err)
	}
	return nil
}

// remove fails with os.ErrNotExist if there was neither the file nor an unfinished
// one.
func (m *DownloadManager) remove(name string) error {
	file := m.removeFile(name)
	if file != nil && !errors.Is(file, os.ErrNotExist) {
		return file
	}
	_ = m.house.awaitTidied(context.Background()) // which never ends; that does, with the manager
	rest := m.removeLeftover(m.dir.Leftover(name).Name)
	if errors.Is(rest, os.ErrNotExist) {
		return file
	}
	return rest
}

var errDownloading = fmt.Errorf("%w: it is being downloaded", ErrInUse)

// removeFile removes a finished file that nobody uses, and takes it off the limit.
func (m *DownloadManager) removeFile(name string) error {
	if m.isInFlight(name) {
		return errDownloading
	}
	err := m.dir.Evict(name)
	if errors.Is(err, fs.ErrLeased) {
		return fmt.Errorf("%w: somebody has it open", ErrInUse)
	}
	if err == nil || errors.Is(err, os.ErrNotExist) {
		m.limit.forget(m.shelf, name)
	}
	if err == nil {
		m.cfg.defaults.logger.Info("removed", "path", m.dir.Path(name))
	}
	return err
}

// removeLeftover removes what was left unfinished, and takes it off the limit.
func (m *DownloadManager) removeLeftover(name string) error {
	err := m.dir.RemoveLeftover(name)
	if errors.Is(err, fs.ErrHeld) {
		return errDownloading
	}
	if err == nil || errors.Is(err, os.ErrNotExist) {
		m.limit.forget(m.shelf, name)
	}
	return err
}

// isInFlight reports whether a download of the name has not ended.
func (m *DownloadManager) isInFlight(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inFlight[fs.Fold(name)] != nil
}
