package fs

import (
	"context"
	"errors"
	"os"
	"path"
	"strings"
	"time"

	"github.com/spf13/afero"
)

// strayAge is how long a partial file that nobody is at work on is kept, and
// how old one must be to count as left behind where no lock can tell: longer
// than a weekend, and than any download waits before it tries again.
const strayAge = 7 * 24 * time.Hour

// Leftover is a partial file that nobody was at work on when it was looked at.
type Leftover struct {
	Name string // in the directory, among its own files
	Size int64  // bytes that it was going to need, as far as that was known
	// Written is when something was stored in it last; zero if that is not known.
	Written time.Time
}

// Leftover returns the partial file of name as it lies there.
func (d *Dir) Leftover(name string) Leftover {
	l := Leftover{Name: LeftoverName(name)}
	if fi, err := Lstat(d.fsys, l.Name); err == nil {
		l.Size, l.Written = fi.Size(), fi.ModTime()
	}
	return l
}

// LeftoverName returns the Name that the Leftover of the file called name has.
func LeftoverName(name string) string { return partialDir + "/" + key(name) + partialSuffix }

// IsLeftover reports whether the name is a Leftover's, not a finished file's.
func IsLeftover(name string) bool { return strings.HasPrefix(name, partialDir+"/") }

// StatLeftover returns the size of the Leftover with the name, in bytes.
func (d *Dir) StatLeftover(name string) (int64, error) {
	fi, err := Lstat(d.fsys, name)
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// RemoveLeftover removes the partial file and its note, unless somebody is at
// work on it, which is ErrHeld.
func (d *Dir) RemoveLeftover(name string) error {
	p := d.leftover(name)
	switch err := p.adopt(nil); {
	case errors.Is(err, errForeign): // whatever it is: nobody holds it
		return d.removeLeft(p)
	case errors.Is(err, errLost):
		return os.ErrNotExist
	case errors.Is(err, errUnknown):
		return ErrHeld
	default:
		return err
	}
}

// removeLeft removes what adopt has found foreign, and its bytes from the count.
func (d *Dir) removeLeft(p *Partial) error {
	size, _ := d.StatLeftover(p.temp)
	err := p.remove()
	if err == nil && size > 0 && !isOfOwn(p.temp) {
		d.Count(Change{Bytes: -size})
	}
	return err
}

// isOfOwn reports whether the partial file is of one of the cache's own files,
// which are not counted.
func isOfOwn(name string) bool {
	for _, own := range [...]string{entryFile, tableFile, configFile, unsyncedFile, formatFile, tagFile} {
		if strings.HasPrefix(path.Base(name), key(own)) {
			return true
		}
	}
	return false
}

func (d *Dir) leftover(name string) *Partial {
	return &Partial{fsys: d.fsys, temp: name, note: &note{fsys: d.fsys, partial: name}}
}

// Leftovers calls kept for each partial file that can be gone on with, and removes
// the others that nobody is at work on.
func (d *Dir) Leftovers(ctx context.Context, now time.Time, kept func(Leftover)) error {
	return d.sortLeftovers(ctx, now, kept)
}

// sortLeftovers removes what a killed process left, unless it can be adopted and
// is not too old. It looks under the lock.
func (d *Dir) sortLeftovers(ctx context.Context, now time.Time, kept func(Leftover)) error {
	d.Sweep()                 // what the dead have reserved is what they left
	var parts, notes []string // gathered first: afero.MemMapFs panics when a folder shrinks while it is read
	err := d.eachName(ctx, partialDir, func(base string) error {
		switch path.Ext(base) {
		case partialSuffix:
			parts = append(parts, path.Join(partialDir, base))
		case noteSuffix:
			notes = append(notes, path.Join(partialDir, base))
		}
		return nil
	})
	for _, name := range parts {
		d.sortLeftover(name, now, kept)
	}
	for _, name := range notes {
		// A note is written after its partial file is made, and removed before it.
		_, gone := Lstat(d.fsys, strings.TrimSuffix(name, noteSuffix)+partialSuffix)
		if errors.Is(gone, os.ErrNotExist) {
			err = errors.Join(err, ignoreNotExist(Remove(d.fsys, name)))
		}
	}
	if err == nil && ctx.Err() == nil {
		d.tidied.Store(true)
	}
	return err
}

func (d *Dir) sortLeftover(name string, now time.Time, kept func(Leftover)) {
	old := isOlder(d.fsys, name, now, strayAge)
	p := d.leftover(name)
	fits := func(_ []byte, size int64) bool { return !old }
	switch err := p.adopt(fits); {
	case err == nil:
		if size, written, err := p.Stat(); err == nil {
			kept(Leftover{Name: name, Size: size, Written: written})
		}
		_ = p.close() // nothing was written
		p.unlock()
	case errors.Is(err, errForeign):
		_ = d.removeLeft(p) // who comes next tries again
	case errors.Is(err, errUnknown) && old:
		_ = d.fsys.Remove(name)
	}
}

func ignoreNotExist(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func isOlder(fsys afero.Fs, name string, now time.Time, age time.Duration) bool {
	fi, err := Lstat(fsys, name)
	return err == nil && now.Sub(fi.ModTime()) > age
}
