package dlmanager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dlmanager/dlmanager/fs"
)

// PruneOptions say what [DownloadManager.Prune] removes. The zero value removes
// nothing.
type PruneOptions struct {
	// To removes files, the one not used for longest first, until the rest have no
	// more than this many bytes together. 0: whatever they have.
	To int64
	// OlderThan removes what was not used for this long. 0: whatever its age.
	OlderThan time.Duration
	// All removes everything.
	All bool
	// DryRun removes nothing, and reports what would be removed. It does not see who
	// has a file open.
	DryRun bool
	// Removed is called for each finished file or directory that was removed, or would be, from
	// Prune's goroutine. nil: nobody is told. It must not close the manager.
	Removed func(FileInfo)
}

// PruneReport is what [DownloadManager.Prune] did, or would have done.
type PruneReport struct {
	Files           int   // finished files and directories that were removed
	Bytes           int64 // their sizes
	Unfinished      int   // removed files that earlier downloads had left unfinished
	UnfinishedBytes int64 // what they were going to need
	InUse           int   // files that had to go and are in use: open, or being downloaded
	InUseBytes      int64
	LeftBytes       int64 // what is left, finished and unfinished, apart from what running downloads write
}

// Prune removes files and directories from the cache: those that are too old, and as many more as
// make the rest small enough, those not used for longest first; before them what
// earlier downloads have left unfinished. It asks for no limit, grace or number of
// files to keep; what is in use stays, and is reported. A directory that is not
// marked as a cache is ErrNotCacheDir. An error says that ctx ended or that files
// could not be looked at or removed; the report stands all the same.
func (m *DownloadManager) Prune(ctx context.Context, o PruneOptions) (PruneReport, error) {
	if m.isClosed() {
		return PruneReport{}, ErrClosed
	}
	if !m.dir.Marked() {
		return PruneReport{}, fmt.Errorf("prune: %w", &fs.NotCacheDirError{Dir: m.dir.Root(), Unmarked: true})
	}
	p := &prune{m: m, o: o, now: time.Now(), after: oldFile{used: minTime}, most: pruneBatch}
	err := p.run(ctx)
	return p.report, errors.Join(err, p.failures.take())
}

// pruneBatch is how many files are sorted at a time, or up to twice as many: some
// 180 MB, and one look at a directory of a million files.
const pruneBatch = 1 << 19

const minTime = -1 << 63

// prune is one call. It goes along the files in the order of their last use, a
// batch at a time: each batch is found by a look at all files.
type prune struct {
	m        *DownloadManager
	o        PruneOptions
	now      time.Time
	most     int     // files in a batch
	after    oldFile // the last one that was dealt with
	counted  bool    // report.LeftBytes is known
	failures failures
	report   PruneReport
}

// oldFile is what is sorted of a file.
type oldFile struct {
	name string
	size int64
	used int64 // Unix nanoseconds
}

func (f oldFile) compare(other oldFile) int {
	return cmp.Or(cmp.Compare(f.used, other.used), strings.Compare(f.name, other.name))
}

func (p *prune) run(ctx context.Context) error {
	leftovers, err := p.leftovers(ctx)
	if err != nil {
		return err
	}
	for {
		batch, more, err := p.gather(ctx)
		if err != nil {
			return err
		}
		p.dropLeftovers(leftovers)
		leftovers = nil
		for _, f := range batch {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !p.wants(f.used) {
				return nil
			}
			p.drop(f)
			p.after = f
		}
		if !more {
			return nil
		}
	}
}

// leftovers returns what was left unfinished and nobody is at work on.
func (p *prune) leftovers(ctx context.Context) ([]fs.Leftover, error) {
	if err := p.m.house.awaitTidied(ctx); err != nil {
		return nil, err // it holds them while it looks at them
	}
	if err := p.m.house.awaitReady(ctx); err != nil {
		return nil, err // it counts files that may go
	}
	var found []fs.Leftover
	err := p.m.dir.Leftovers(ctx, p.now, func(l fs.Leftover) {
		found = append(found, l)
		p.report.LeftBytes += accounted(l.Size)
	})
	return found, err
}

// wants reports whether what was used at that time has to go. It only gets less
// true from older to newer files.
func (p *prune) wants(used int64) bool {
	age := p.now.Sub(time.Unix(0, used))
	return p.o.All || p.o.OlderThan > 0 && age >= p.o.OlderThan || p.o.To > 0 && p.report.LeftBytes > p.o.To
}

// gather returns the oldest files behind those that were dealt with, in order. more
// says that there are others. The first time it adds up all files.
func (p *prune) gather(ctx context.Context) (batch []oldFile, more bool, err error) {
	err = p.m.eachFile(ctx, func(f FileInfo) error {
		if !p.counted {
			p.report.LeftBytes += accounted(f.Size)
		}
		old := oldFile{f.Name, f.Size, nanos(f.LastUse)}
		if old.compare(p.after) <= 0 || !p.mayWant(old) {
			return nil
		}
		if batch = append(batch, old); len(batch) == 2*p.most {
			slices.SortFunc(batch, oldFile.compare)
			batch, more = batch[:p.most], true
		}
		return nil
	})
	p.counted = true
	if ctx.Err() != nil {
		return nil, false, err
	}
	if err != nil { // folders that cannot be read keep what is in them
		p.failures.add(err)
	}
	slices.SortFunc(batch, oldFile.compare)
	if more { // the rest may be newer than what was given up
		batch = batch[:p.most]
	}
	return batch, more, nil
}

// mayWant is wants before all sizes are known.
func (p *prune) mayWant(f oldFile) bool { return p.o.To > 0 || p.wants(f.used) }

// drop removes one file, unless it was used since it was sorted.
func (p *prune) drop(f oldFile) {
	info, err := p.m.lookUp(f.name)
	switch {
	case errors.Is(err, os.ErrNotExist): // somebody else removed it
		p.report.LeftBytes -= accounted(f.size)
		return
	case err != nil:
		p.failures.add(err)
		return
	case nanos(info.LastUse) > f.used && !p.o.All:
		return
	}
	err = p.remove(f.name)
	switch {
	case errors.Is(err, ErrInUse):
		p.report.InUse++
		p.report.InUseBytes += f.size
		return
	case err != nil && !errors.Is(err, os.ErrNotExist):
		p.failures.add(fmt.Errorf("remove %q: %w", f.name, err))
		return
	}
	p.report.LeftBytes -= accounted(f.size)
	if err != nil {
		return
	}
	p.report.Files++
	p.report.Bytes += f.size
	if p.o.Removed != nil {
		p.o.Removed(info)
	}
}

// remove asks at least whether it could remove the file.
func (p *prune) remove(name string) error {
	if !p.o.DryRun {
		return p.m.removeFile(name)
	}
	return p.m.mayRemove(name)
}

// dropLeftovers removes what is unfinished: first of all where it is about size.
func (p *prune) dropLeftovers(all []fs.Leftover) {
	for _, l := range all {
		if !p.wants(nanos(l.Written)) {
			continue
		}
		if !p.o.DryRun {
			err := p.m.removeLeftover(l.Name)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				if !errors.Is(err, ErrInUse) {
					p.failures.add(err)
				}
				continue
			}
		}
		p.report.LeftBytes -= accounted(l.Size)
		p.report.Unfinished++
		p.report.UnfinishedBytes += l.Size
	}
}
