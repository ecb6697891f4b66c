package fs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/afero"
)

// ErrNotCacheDir is matched by the refusal of a directory that holds files and
// carries no mark: they are somebody's, and must not be evicted by surprise.
var ErrNotCacheDir = errors.New("not a cache directory")

// ErrFormat is matched by the refusal of a directory whose mark is not known.
var ErrFormat = errors.New("unknown format of cache directory")

// formatVersion is the version of the layout. Directories of a lower one are
// read, directories of a higher one are refused.
const formatVersion = 1

const formatPrefix = "dlmanager cache directory, format "

// tagContent is what https://bford.info/cachedir/ asks for: the signature first.
const tagContent = "Signature: 8a477f597d28d172789f06886806bc55\n" +
	"# This file marks a cache directory made by dlmanager.\n" +
	"# Backups may leave it out. See https://bford.info/cachedir/\n"

// maxOwnFile bounds what is read of the mark and the config, which somebody
// else may have written.
const maxOwnFile = 64 << 10

// identify finds the mark, or sets it where that is right.
func (d *Dir) identify(o Options) error {
	marked, err := d.readMark()
	if err != nil || marked {
		return err
	}
	if o.Existing {
		return &NotCacheDirError{Dir: d.path, Unmarked: true}
	}
	empty, err := d.isEmpty()
	if err != nil {
		return err
	}
	if !empty && !o.Adopt {
		// Another process may have marked it and put a file in since we looked.
		if marked, err := d.readMark(); err != nil || marked {
			return err
		}
		if o.Limited {
			return &NotCacheDirError{Dir: d.path}
		}
		return nil
	}
	return d.mark(o, empty)
}

// NotCacheDirError is ErrNotCacheDir with the directory.
type NotCacheDirError struct {
	Dir      string
	Unmarked bool // it has no mark, and none was to be set
}

func (e *NotCacheDirError) Error() string {
	if e.Unmarked {
		return fmt.Sprintf("%s is not a cache directory: it does not carry the mark of one", e.Dir)
	}
	return fmt.Sprintf("%s is not empty and not a cache directory: its files could be evicted; use another directory, or adopt this one with all that is in it", e.Dir)
}

func (e *NotCacheDirError) Is(target error) bool { return target == ErrNotCacheDir }

// readMark reads the mark and, where there is one, the config.
func (d *Dir) readMark() (bool, error) {
	text, err := d.readOwn(formatFile)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	version, err := parseFormat(text)
	if err != nil {
		return false, fmt.Errorf("%w: %s: %w", ErrFormat, d.Path(formatFile), err)
	}
	if version > formatVersion {
		return false, fmt.Errorf("%w: %s has format %d, this program knows formats up to %d: use a newer program or another directory", ErrFormat, d.path, version, formatVersion)
	}
	d.marked = true
	return true, d.readConfig()
}

// parseFormat reads the version from the mark's text.
func parseFormat(text []byte) (int, error) {
	line, _, _ := strings.Cut(string(text), "\n")
	number, ok := strings.CutPrefix(strings.TrimSuffix(line, "\r"), formatPrefix)
	version, err := strconv.Atoi(number)
	if !ok || err != nil || version < 1 {
		return 0, errors.New("not a mark that this program knows: remove the file to have the directory looked at anew")
	}
	return version, nil
}

func (d *Dir) readOwn(name string) ([]byte, error) {
	f, err := openOwn(d.fsys, name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxOwnFile))
	return text, errors.Join(err, f.Close())
}

// openOwn opens one of the cache's own files for reading. Somebody may have put
// a pipe in its place, which would hold us for ever.
func openOwn(fsys afero.Fs, name string) (afero.File, error) {
	fi, err := Lstat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, &os.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	return fsys.OpenFile(name, os.O_RDONLY|nonblock, 0)
}

var errNotRegular = errors.New("not a regular file: remove it")

// isEmpty reports whether nothing but the cache's own files is in the directory.
func (d *Dir) isEmpty() (bool, error) {
	f, err := d.fsys.Open(".")
	if err != nil {
		return false, err
	}
	defer f.Close() // read-only: nothing to lose
	for {
		// Three names tell: two may be ours.
		names, err := f.Readdirnames(3)
		for _, name := range names {
			if name != ownDir && name != tagFile {
				return false, nil
			}
		}
		if errors.Is(err, io.EOF) || (err == nil && len(names) == 0) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// mark makes the directory a cache. The mark comes last: who sees it sees the rest.
// In an empty one there is nothing to count.
func (d *Dir) mark(o Options, empty bool) error {
	if o.InitialLimit > 0 {
		if err := d.writeSizeLimit(o.InitialLimit); err != nil {
			return err
		}
	}
	if _, err := Lstat(d.fsys, tagFile); errors.Is(err, os.ErrNotExist) {
		if err := d.writeOwn(tagFile, []byte(tagContent)); err != nil {
			return err
		}
	}
	if empty {
		d.counter.begin(time.Now())
	}
	if err := d.writeOwn(formatFile, fmt.Appendf(nil, "%s%d\n", formatPrefix, formatVersion)); err != nil {
		return err
	}
	d.marked = true
	return nil
}

// writeOwn writes one of the cache's own files, whole or not at all.
func (d *Dir) writeOwn(name string, text []byte) error {
	p, err := ownSpot(d.fsys, name).CreateApart(0o666)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer p.Cancel()
	if _, err := p.WriteAt(text, 0); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := p.Commit(SyncFile); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
