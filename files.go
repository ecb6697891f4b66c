package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/dlmanager/dlmanager/fs"
)

// FileInfo describes a finished file in the cache, or a directory of
// [DownloadManager.GetDir], which is one entry whatever is in it.
type FileInfo struct {
	Name    string    // in the cache, with slashes; a directory's has one at its end
	Path    string    // absolute
	Dir     bool      // it is a directory
	Size    int64     // bytes; of a directory, those of all its files
	ModTime time.Time // of a directory, when its archive was last known to be current
	LastUse time.Time // the later of its access and modification time

	info fs.Info
	dir  *fs.Dir
	tree fs.Tree
}

// Remembered is what the cache remembers of a file beside the file itself; of a
// directory, what it remembers of the archive.
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
	if f.Dir {
		return Remembered{URL: f.tree.URL, Fetched: f.ModTime, Digest: firstDigest(f.tree.Archive.Digests)}, true
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

func (m *DownloadManager) dirInfo(t fs.Tree, info fs.Info) FileInfo {
	return FileInfo{
		Name: t.Name + "/", Path: m.dir.TreePath(t), Dir: true, Size: info.Size, ModTime: info.ModTime, LastUse: info.LastUse,
		info: info, dir: m.dir, tree: t,
	}
}

// errStopped ends a walk whose reader has had enough.
var errStopped = errors.New("stopped")

// Files returns the finished files and directories, in no order, as they are found: what comes or
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

// eachFile calls fn for the finished files and directories until fn or ctx ends it.
func (m *DownloadManager) eachFile(ctx context.Context, fn func(FileInfo) error) error {
	if m.isClosed() {
		return ErrClosed
	}
	walked := m.dir.Walk(ctx, func(name string, info fs.Info) error {
		return fn(m.fileInfo(name, info))
	})
	if errors.Is(walked, errStopped) || ctx.Err() != nil {
		return walked
	}
	return errors.Join(walked, m.dir.EachTree(ctx, func(id string, t fs.Tree, info fs.Info) error {
		if id != fs.TreeID(t.Name) {
			return nil // it was replaced, and is still in use
		}
		return fn(m.dirInfo(t, info))
	}))
}

// Stat describes the finished file called name, or with a slash at the end of the
// name the directory, and is no use of it. What is not there is ErrNotCached.
func (m *DownloadManager) Stat(name string) (FileInfo, error) {
	if _, err := cleanEntry(name); err != nil {
		return FileInfo{}, err
	}
	if m.isClosed() {
		return FileInfo{}, ErrClosed
	}
	f, err := m.lookUp(name)
	if errors.Is(err, os.ErrNotExist) {
		return FileInfo{}, notCached(name)
	}
	return f, err
}

// cleanEntry checks the name of a file or, with a slash at its end, of a directory.
func cleanEntry(name string) (isDir bool, err error) {
	base, isDir := strings.CutSuffix(name, "/")
	if base == "" {
		base, isDir = name, false
	}
	_, err = fs.CleanName(base)
	return isDir, err
}

// treeOf returns the ID of the directory with the name, if it is one's.
func treeOf(name string) (id string, ok bool) {
	base, ok := strings.CutSuffix(name, "/")
	if !ok {
		return "", false
	}
	return fs.TreeID(base), true
}

// lookUp is Stat with a name that is right.
func (m *DownloadManager) lookUp(name string) (FileInfo, error) {
	if id, ok := treeOf(name); ok {
		t, info, err := m.dir.StatTree(id)
		if err != nil {
			return FileInfo{}, err
		}
		return m.dirInfo(t, info), nil
	}
	info, err := m.dir.Stat(name)
	if err != nil {
		return FileInfo{}, err
	}
	return m.fileInfo(name, info), nil
}

func notCached(name string) error { return fmt.Errorf("%q: %w", name, ErrNotCached) }

// Remove removes the file called name, whenever it was used, and what an earlier
// download of it has left unfinished; with a slash at the end of the name, the
// directory. ErrNotCached says that neither was there;
// ErrInUse that somebody has the file open, or that it is being downloaded: wait
// for that, or cancel it. A download that is started meanwhile may find the file
// and lose it.
func (m *DownloadManager) Remove(name string) error {
	if _, err := cleanEntry(name); err != nil {
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
	if _, isDir := treeOf(name); isDir {
		return file
	}
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

var errFilling = fmt.Errorf("%w: it is being filled", ErrInUse)

var errDownloading = fmt.Errorf("%w: it is being downloaded", ErrInUse)

// removeFile removes a finished file or directory that nobody uses, and takes it off
// the limit.
func (m *DownloadManager) removeFile(name string) error {
	if err := m.mayRemove(name); err != nil {
		return err
	}
	evict := m.dir.Evict
	entry := name
	if id, ok := treeOf(name); ok {
		evict, name = m.dir.EvictTree, id
	}
	err := evict(name)
	if errors.Is(err, fs.ErrLeased) {
		return fmt.Errorf("%w: somebody has it open", ErrInUse)
	}
	if err == nil || errors.Is(err, os.ErrNotExist) {
		m.limit.forget(m.shelf, name)
	}
	if err == nil {
		m.cfg.defaults.logger.Info("removed", "name", entry, "path", m.dir.Path(name))
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

// mayRemove fails if a download of the name has not ended, or the directory is being
// filled.
func (m *DownloadManager) mayRemove(name string) error {
	id, isDir := treeOf(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case isDir && m.flights[id] != nil:
		return errFilling
	case !isDir && m.inFlight[fs.Fold(name)] != nil:
		return errDownloading
	}
	return nil
}
