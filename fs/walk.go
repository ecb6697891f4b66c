package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/spf13/afero"
)

// walkBatch is how many names are read of a folder at a time: enough to make
// the calls few, and a bound on memory in a folder with a million files.
const walkBatch = 1024

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

// Tidy puts in order what earlier processes left: partial files that nobody is
// at work on and nobody is going to, and a journal that has grown long. It
// calls kept for each partial file that it leaves to be adopted.
func (d *Dir) Tidy(ctx context.Context, now time.Time, kept func(Leftover)) error {
	err := d.sortLeftovers(ctx, now, kept)
	return errors.Join(err, d.tidyTrees(ctx), d.entries.tidy(ctx))
}
