package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"time"

	"github.com/spf13/afero"
)

// walkBatch is how many names are read of a folder at a time: enough to make
// the calls few, and a bound on memory in a folder with a million files.
const walkBatch = 1024

// Walk calls fn for every finished file, in no order, until fn or ctx ends it. A
// folder that cannot be read is reported at the end, and the others are walked.
// What vanishes meanwhile is passed over; so are links, devices, the cache's
// own files and other programs' hidden partials.
func (d *Dir) Walk(ctx context.Context, fn func(name string, info Info) error) error {
	return d.walk(ctx, ".", fn)
}

func (d *Dir) walk(ctx context.Context, folder string, fn func(string, Info) error) error {
	var folders []string
	var unreadable []error
	err := d.eachName(ctx, folder, func(base string) error {
		name := path.Join(folder, base)
		if name == ownDir || name == tagFile || IsHiddenPartial(base) {
			return nil
		}
		fi, err := Lstat(d.fsys, name)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return nil
		case err != nil:
			unreadable = append(unreadable, err)
			return nil
		case fi.IsDir():
			folders = append(folders, name)
			return nil
		case !fi.Mode().IsRegular():
			return nil
		}
		return fn(name, infoOf(fi))
	})
	if err != nil {
		return err
	}
	for _, sub := range folders {
		err := d.walk(ctx, sub, fn)
		if _, odd := errors.AsType[*os.PathError](err); odd {
			unreadable = append(unreadable, err)
		} else if err != nil {
			return err
		}
	}
	return errors.Join(unreadable...)
}

// eachName calls fn for each base name in the folder; a folder that is not
// there has none.
func (d *Dir) eachName(ctx context.Context, folder string, fn func(base string) error) error {
	f, err := d.fsys.Open(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() // read-only: nothing to lose
	return EachName(f, func(base string) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fn(base)
	})
}

// EachName calls fn for each base name in the open folder, in no order, until it
// returns an error.
func EachName(folder afero.File, fn func(base string) error) error {
	batch := walkBatch
	if _, ok := folder.(*os.File); !ok {
		batch = -1 // afero.MemMapFs panics, with a lock held, when a folder shrinks between two batches
	}
	for {
		names, err := folder.Readdirnames(batch)
		for _, name := range names {
			if err := fn(name); err != nil {
				return err
			}
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil // the folder was removed while it was read, so it was empty
		}
		if errors.Is(err, io.EOF) || (err == nil && (len(names) == 0 || batch < 0)) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// tidyJournal is the size in bytes from which the journal is read at start-up,
// to be written anew if most of it is out of date: some ten thousand records.
const tidyJournal = 1 << 20

// Tidy puts in order what earlier processes left: partial files that nobody is
// at work on and nobody is going to, and a journal that has grown long. It
// calls kept for each partial file that it leaves to be adopted.
func (d *Dir) Tidy(ctx context.Context, now time.Time, kept func(Leftover)) error {
	err := d.sortLeftovers(ctx, now, kept)
	if fi, statErr := d.fsys.Stat(entryFile); statErr == nil && fi.Size() > tidyJournal {
		err = errors.Join(err, d.entries.tidy())
	}
	return err
}
