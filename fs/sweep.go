package fs

import (
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"time"
)

// sweepEvery is how often one Dir looks whether others have died. It matters only
// where space is short, and costs a few system calls for each process.
const sweepEvery = 250 * time.Millisecond

// sweep takes the claims of those who have died for files.
func (c *counter) sweep() {
	c.mu.Lock()
	if c.off || time.Since(c.swept) < sweepEvery {
		c.mu.Unlock()
		return
	}
	c.swept = time.Now()
	c.mu.Unlock()
	c.update(func(l *ledger) (changed bool) {
		if !slices.ContainsFunc(l.claims, func(o claimed) bool { return o.id != c.id }) {
			return false
		}
		living, err := c.living()
		if err != nil {
			return false // nobody can tell
		}
		for _, o := range slices.Clone(l.claims) {
			if o.id != c.id && !living[o.id] {
				l.absorb(o)
				changed = true
			}
		}
		return changed
	})
}

// living returns the numbers of those who are alive, and removes the files of the
// others. Nobody makes such a file but under the lock of the count. An error says
// that nothing is known of those who are not among them.
func (c *counter) living() (map[uint64]bool, error) {
	living := map[uint64]bool{}
	f, err := c.fsys.Open(aliveDir)
	if errors.Is(err, os.ErrNotExist) {
		return living, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // read-only: nothing to lose
	for {
		names, err := f.Readdirnames(walkBatch)
		for _, base := range names {
			id, err := strconv.ParseUint(base, 16, 64)
			if err == nil && (id == c.id || c.isAlive(path.Join(aliveDir, base))) {
				living[id] = true
			}
		}
		if errors.Is(err, io.EOF) || err == nil && len(names) == 0 {
			return living, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// isAlive reports whether somebody holds the file's lock.
func (c *counter) isAlive(name string) bool {
	if fi, err := Lstat(c.fsys, name); err != nil || !fi.Mode().IsRegular() {
		return false
	}
	f, err := c.fsys.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) // another user's: he may be alive
	}
	locked, err := tryLock(f)
	_ = f.Close() // read-only; closing it ends the lock
	if err != nil || !locked {
		return true
	}
	_ = Remove(c.fsys, name)
	return false
}
