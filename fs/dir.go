package fs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/afero"
)

const (
	ownDir     = ".dlm"
	partialDir = ownDir + "/partial"
	formatFile = ownDir + "/format"
	configFile = ownDir + "/config"
	entryFile  = ownDir + "/entries"
	tagFile    = "CACHEDIR.TAG"
)

// Options say how a directory is opened.
type Options struct {
	// Limited says that files will be evicted: then a directory that is not
	// empty and has no mark is refused with ErrNotCacheDir, unless Adopt.
	Limited bool
	// Adopt marks a directory although there are files in it. They become cache.
	Adopt bool
	// Existing refuses a directory that carries no mark with ErrNotCacheDir, and one
	// that is not there with os.ErrNotExist: nothing is made.
	Existing bool
	// InitialLimit is recorded as the directory's own size limit, in bytes, when
	// this call marks it. 0: none.
	InitialLimit int64
	// Boot names the time since the machine was started. "": BootID says it.
	Boot string
}

// Dir is one cache directory. It is safe for concurrent use; other processes
// may work in the same directory.
type Dir struct {
	path   string   // absolute
	fsys   afero.Fs // rooted in path
	root   *os.Root // nil unless on the operating system's file system
	marked bool
	// caseless says that the file system takes names for one that differ in case.
	caseless bool
	limit    atomic.Int64 // the directory's own, in bytes; 0: none
	entries  *entries
	twins    *twins
	counter  *counter
	tidied   atomic.Bool // no note is left without its partial file
	boot     string      // names the time since the machine was started; "": it is not known
	unsynced unsynced
	// fineTimes says that the file system was seen to keep times as they are set.
	fineTimes atomic.Bool
}

// Open opens the cache directory at path on fsys and makes it, with its parents,
// when it is not there. An empty directory is marked as a cache.
func Open(fsys afero.Fs, dir string, o Options) (*Dir, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if fi, err := fsys.Stat(abs); err != nil || !fi.IsDir() {
		if o.Existing {
			return nil, fmt.Errorf("open cache directory: %w", noDirectory(abs, err))
		}
		if err := fsys.MkdirAll(abs, 0o777); err != nil {
			return nil, fmt.Errorf("make cache directory: %w", err)
		}
	}
	d := &Dir{path: abs, boot: cmp.Or(o.Boot, BootID())}
	if err := d.setRoot(fsys); err != nil {
		return nil, fmt.Errorf("open cache directory: %w", err)
	}
	d.counter = newCounter(d.fsys, d.root != nil)
	if err := d.identify(o); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if !d.marked {
		d.counter.off = true // what is not a cache is not counted
	}
	_, err = Lstat(d.fsys, strings.ToUpper(formatFile))
	d.caseless = err == nil
	d.entries = newEntries(d.fsys)
	d.twins = newTwins(d)
	return d, nil
}

// noDirectory is what is wrong with a path that leads to no directory.
func noDirectory(path string, err error) error {
	if err == nil {
		err = &os.PathError{Op: "open", Path: path, Err: errNoDir}
	}
	return err
}

var errNoDir = errors.New("not a directory")

func (d *Dir) setRoot(fsys afero.Fs) error {
	switch fsys.(type) {
	case *afero.OsFs, afero.OsFs:
	default:
		d.fsys = afero.NewBasePathFs(fsys, d.path)
		return nil
	}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return err
	}
	home := &homeFolder{root: root}
	d.root, d.fsys = root, rootFs{root: root, partials: &openFolder{root: root, home: home, name: partialDir}, home: home}
	return nil
}

// Close releases the directory. Files stay as they are.
func (d *Dir) Close() error {
	errs := []error{d.counter.close()}
	if d.entries != nil {
		errs = append(errs, d.entries.close())
	}
	if own, ok := d.fsys.(rootFs); ok {
		errs = append(errs, own.partials.close(), own.home.close(), d.root.Close())
	}
	return errors.Join(errs...)
}

// Path returns the absolute path of the finished file called name.
func (d *Dir) Path(name string) string {
	return d.path + string(filepath.Separator) + filepath.FromSlash(name)
}

// Root returns the directory's absolute path.
func (d *Dir) Root() string { return d.path }

// Marked reports whether the directory carries the mark that makes all in it cache.
func (d *Dir) Marked() bool { return d.marked }

// Stat describes the finished file called name. A file that is not there, and
// anything that is neither a regular file nor a directory, is os.ErrNotExist; a
// directory is an error that says so.
func (d *Dir) Stat(name string) (Info, error) {
	info, err := lookUp(d.fsys, name)
	if err != nil {
		return Info{}, err
	}
	switch {
	case info.Mode.IsRegular():
		return info, nil
	case info.Mode.IsDir():
		return Info{}, &os.PathError{Op: "stat", Path: d.Path(name), Err: errIsDir}
	}
	return Info{}, &os.PathError{Op: "stat", Path: d.Path(name), Err: os.ErrNotExist}
}

// Touch records that the file was used at now, unless info (what Stat said of
// it) shows a use just before. The modification time is kept. Who may not
// (a read-only cache, another's file) is not told: the hit counts all the same.
func (d *Dir) Touch(name string, info Info, now time.Time) {
	if info.isFresh(now) {
		return
	}
	mtime := time.Time{} // os: "a zero time leaves the file time unchanged"
	if info.accessed.IsZero() {
		mtime = now // the one time this file system keeps stands for both
	}
	_ = d.fsys.Chtimes(name, now, mtime)
}

// MakeExecutable adds the permission to execute for everybody who may read, and
// returns when the file can be executed.
func (d *Dir) MakeExecutable(name string, info Info) error {
	perm := info.Mode.Perm()
	want := perm | perm&0o444>>2
	if perm == want {
		return nil
	}
	// Who has fetched it did not wait, as it was not to be executed. One does before
	// others can see that it may be.
	if f, err := d.fsys.OpenFile(name, os.O_RDONLY|nonblock, 0); err == nil {
		awaitNoWriter(f)
		_ = f.Close() // read-only: nothing to lose
	}
	return d.fsys.Chmod(name, want)
}

// Open opens the finished file called name for reading.
func (d *Dir) Open(name string) (afero.File, error) { return d.fsys.Open(name) }

// OpenUnused is Open for one who looks after the file: where the file system
// allows it, reading it does not count as its use.
func (d *Dir) OpenUnused(name string) (afero.File, error) {
	f, err := d.fsys.OpenFile(name, os.O_RDONLY|nonblock|unused, 0)
	if unused != 0 && errors.Is(err, os.ErrPermission) { // it is another user's
		return d.fsys.OpenFile(name, os.O_RDONLY|nonblock, 0)
	}
	return f, err
}

// Spot returns where the partial file of name lies. A link among name's folders
// is an error.
func (d *Dir) Spot(name string) (Spot, error) {
	if err := d.refuseLinks(path.Dir(name)); err != nil {
		return Spot{}, err
	}
	return Spot{fsys: d.fsys, dir: partialDir, stem: key(name), final: name, home: d.path, suspect: !d.tidied.Load()}, nil
}

// refuseLinks fails if a part of the folder's path is a link: it may lead to the
// cache's own files.
func (d *Dir) refuseLinks(folder string) error {
	if own, ok := d.fsys.(rootFs); ok && own.home.isPlainPath(folder) {
		return nil
	}
	for ; folder != "."; folder = path.Dir(folder) {
		if fi, err := Lstat(d.fsys, folder); err == nil && fi.Mode()&os.ModeSymlink != 0 {
			return &os.PathError{Op: "create", Path: d.Path(folder), Err: errIsLink}
		}
	}
	return nil
}

var errIsLink = errors.New("a symbolic link: replace it by a folder, or give another name")

// Remove removes the finished file called name, and the folders that are empty
// then, whoever holds it open. Not being there is os.ErrNotExist.
func (d *Dir) Remove(name string) error {
	fi, err := Lstat(d.fsys, name)
	if err != nil {
		return err
	}
	counted := d.leaving(fi.Size())
	err = Remove(d.fsys, name)
	counted(err == nil)
	if err != nil {
		return err
	}
	d.removed(name)
	return nil
}

// removeEmpty removes the folder if nothing is in it, and reports whether it did.
func (d *Dir) removeEmpty(folder string) bool {
	fi, err := Lstat(d.fsys, folder)
	if err != nil || !fi.IsDir() { // a link is somebody's own
		return false
	}
	if d.root == nil { // afero.MemMapFs removes folders with all that is in them
		err := d.eachName(context.Background(), folder, func(string) error { return errIsDir })
		if err != nil {
			return false
		}
	}
	if d.fsys.Remove(folder) != nil {
		return false
	}
	d.twins.forget(folder)
	return true
}

// key is the short hash under which the partial file of a name is kept: 100
// bits, so that two names do not meet by chance or by design.
func key(name string) string {
	sum := sha256.Sum256([]byte(name))
	var text [keyLength + 8]byte // in groups of 8
	base32.HexEncoding.Encode(text[:], sum[:(keyLength+7)/8*5])
	return string(text[:keyLength])
}
