package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/afero"
)

// mostUpdateWait is how long Update waits for others. An update takes milliseconds;
// who holds the file for longer is stopped.
const mostUpdateWait = time.Minute

// Update replaces the file dest, which lies outside any cache directory, with what
// change returns, whole or not at all; nil leaves it as it is. Those who update one
// file, in whatever process, do so one after the other, so that change sees what the
// ones before have made of it. Where the file system has no locks, it may not. A new
// file gets perm before the umask, and one that is there keeps its own.
func Update(ctx context.Context, fsys afero.Fs, dest string, perm os.FileMode, change func() ([]byte, error)) error {
	dest = filepath.Clean(dest)
	spot, err := SiblingSpot(fsys, dest)
	if err != nil {
		return err
	}
	keep := false
	if fi, err := fsys.Stat(dest); err == nil {
		perm, keep = fi.Mode().Perm(), true
	}
	for range maxCreateTries {
		err = updateOnce(ctx, spot, perm, keep, change)
		// On Windows the lock ends before the rename: who got it meanwhile has taken
		// the partial file away, and what it wrote has to be read.
		if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, errRemoved) {
			return err
		}
	}
	return err
}

func updateOnce(ctx context.Context, spot Spot, perm os.FileMode, keep bool, change func() ([]byte, error)) error {
	p, err := awaitPartial(ctx, spot, perm)
	if err != nil {
		return err
	}
	defer p.Cancel()
	content, err := change()
	if err != nil || content == nil {
		return err
	}
	if _, err := p.WriteAt(content, 0); err != nil {
		return err
	}
	if keep { // also what the umask has taken away
		if err := spot.fsys.Chmod(p.temp, perm|0o600); err != nil {
			return err
		}
	}
	return p.Commit(SyncFile)
}

// awaitPartial takes the partial file when nobody else has it.
func awaitPartial(ctx context.Context, spot Spot, perm os.FileMode) (*Partial, error) {
	const longest = 32 * time.Millisecond
	for pause, waited := time.Millisecond, time.Duration(0); ; pause = min(2*pause, longest) {
		p, err := spot.Create(perm, nil)
		if !errors.Is(err, ErrHeld) {
			return p, err
		}
		if waited += pause; waited > mostUpdateWait {
			return nil, fmt.Errorf("%s: another process is changing it, and does not go on", spot.final)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
	}
}
