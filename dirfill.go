package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/dlmanager/dlmanager/fs"
)

// work makes the directory, or finds that another process has. held is the
// directory, open.
func (f *dirFlight) work() (result Result, held *Dir, err error) {
	stamp, held, err := f.claim()
	if err != nil || held != nil {
		if held != nil {
			result = held.result
			result.Origin = OriginJoined
		}
		return result, held, err
	}
	defer stamp.Cancel()
	if held, err = f.ask.open(f.ctx); !errors.Is(err, errLostRace) {
		if held != nil {
			result = held.result
		}
		return result, held, err
	}
	return f.make(stamp)
}

// claim returns the right to make the directory, as soon as nobody else has it, or
// the directory, if whoever had it has made it. Who shows no sign of life for the
// stall time-out is frozen: then it is made a second time, beside his.
func (f *dirFlight) claim() (*fs.Partial, *Dir, error) {
	a := f.ask
	spot, stall := a.m.dir.TreeSpot(a.name), a.probe.cfg.stall
	var pulse fs.Pulse
	felt := time.Now()
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		stamp, err := spot.Create(0o666, nil)
		if !errors.Is(err, fs.ErrHeld) {
			return stamp, nil, err
		}
		if p := spot.Pulse(); p != pulse {
			pulse, felt = p, time.Now()
		}
		if stall > 0 && time.Since(felt) > max(stall, 2*beatTime) {
			a.m.cfg.defaults.logger.Warn("who makes the directory shows no sign of life, it is made a second time", "name", a.name)
			stamp, err = spot.CreateApart(0o666)
			return stamp, nil, err
		}
		if err := sleep(f.ctx, pause); err != nil {
			return nil, nil, err
		}
		if dir, err := a.open(f.ctx); !errors.Is(err, errLostRace) {
			return nil, dir, err
		}
	}
}

// make fetches the archive and fills the directory from it.
func (f *dirFlight) make(stamp *fs.Partial) (result Result, held *Dir, err error) {
	a := f.ask
	filling, err := a.m.dir.BeginTree(a.name, stamp)
	if err != nil {
		return result, nil, err
	}
	defer filling.Cancel() // it has a lease until then
	stop := f.beat(filling)
	defer stop()
	archive, result, err := a.fetch(f.ctx, f.report)
	if err != nil {
		if held = a.oldInstead(f.ctx, err); held != nil {
			return held.result, held, nil
		}
		return Result{}, nil, err
	}
	defer archive.Close()
	entry := a.entryOf(archive, result)
	if held = a.stillCurrent(f.ctx, entry); held == nil {
		if err := f.fill(filling, archive, entry, stop); err != nil {
			return Result{}, nil, err
		}
		if held, _, err = a.openAny(f.ctx); err != nil {
			return Result{}, nil, err
		}
	}
	a.dropArchive(archive)
	return result, held, nil
}

// beat shows that somebody is at work, until stop is called.
func (f *dirFlight) beat(filling *fs.Filling) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		for n := 0; ; n++ {
			_ = filling.Pulse(fmt.Appendf(nil, `{"pid":%d,"beat":%s}`, os.Getpid(), strconv.Itoa(n))) // economy only
			if sleep(ctx, beatTime) != nil {
				return
			}
		}
	}()
	return func() {
		cancel()
		<-over
	}
}

// entryOf returns what is remembered of the archive, or at least what is known of it.
func (a *dirAsk) entryOf(archive *File, result Result) fs.Entry {
	if info, err := a.m.dir.Stat(a.archive); err == nil && info.Size == archive.Size() {
		if e, ok := a.m.dir.Entry(a.archive, info); ok {
			return e
		}
	}
	return fs.Entry{Size: archive.Size(), CRC32C: result.CRC32C, Digests: result.Digest, Unproven: !result.Verified}
}

// stillCurrent returns the directory that is there if it is from this archive, which
// is the current one: then it is not filled again.
func (a *dirAsk) stillCurrent(ctx context.Context, archive fs.Entry) *Dir {
	return a.openIf(ctx, func(e fs.Entry) bool {
		return e.CRC32C == archive.CRC32C && e.Size == archive.Size && e.Digests == archive.Digests &&
			a.m.dir.RenewTree(a.id, time.Now()) == nil
	})
}

// oldInstead returns the directory that is there if it may be used although its
// archive could not be fetched.
func (a *dirAsk) oldInstead(ctx context.Context, failure error) *Dir {
	if !a.probe.cfg.staleIfError || !isOutage(failure) {
		return nil
	}
	dir := a.openIf(ctx, func(fs.Entry) bool { return true })
	if dir != nil {
		dir.result.Stale = failure
		a.m.cfg.defaults.logger.Warn("the origin could not be asked, the directory that is there is used", "name", a.name, "error", failure)
	}
	return dir
}

// openIf returns the directory that is there, whatever its age, if it has the right
// checksum and will do; else nil.
func (a *dirAsk) openIf(ctx context.Context, will func(fs.Entry) bool) *Dir {
	if a.probe.cfg.force {
		return nil
	}
	dir, info, err := a.openAny(ctx)
	if err != nil {
		return nil
	}
	e := archiveEntry(dir.tree, info)
	if a.probe.currentCheck().provenBy(e) != proven || !will(e) {
		_ = dir.file.Close() // read-only: nothing to lose
		return nil
	}
	return dir
}

// fill fills the directory, and gives it its place. Room is made for what is written
// before it is.
func (f *dirFlight) fill(filling *fs.Filling, archive *File, entry fs.Entry, stop func()) error {
	a, m := f.ask, f.ask.m
	room, err := m.reserve(f.ctx, a.probe, 0)
	if err != nil {
		return err
	}
	defer room.release()
	into := filling.Gate(func(total int64) error { return f.grow(room, total) }, f.freeDisk())
	if err := a.runFiller(f.ctx, archive, into); err != nil {
		return err
	}
	mode := a.probe.cfg.sync
	survey, err := filling.Survey(f.ctx, mode)
	if err == nil {
		err = f.grow(room, survey.Bytes)
	}
	if err != nil {
		return fmt.Errorf("fill %q: %w", a.name, err)
	}
	stop() // nobody but who lands it writes to the stamp any more
	if err := filling.Land(a.treeOf(entry, survey), mode); err != nil {
		return fmt.Errorf("directory %q: %w", a.name, err)
	}
	m.cfg.defaults.logger.Info("directory filled", "name", a.name, "bytes", survey.Bytes, "files", survey.Files)
	m.house.added.Store(true)
	id, retired := filling.ID()
	if _, info, err := m.dir.StatTree(retired); retired != "" && err == nil {
		m.limit.add(m.shelf, retired, info.Size, info.LastUse)
	}
	room.land(id, survey.Bytes, time.Now(), -1)
	return nil
}

// freeDisk returns what makes room on a disk that is full, once, for as much as there is
// already: what is still to come is not known.
func (f *dirFlight) freeDisk() func(total int64) bool {
	var once sync.Once
	return func(total int64) (freed bool) {
		once.Do(func() { freed = f.ask.m.freeDisk(f.ctx, f.ask.probe, max(total, minRoomStep)) })
		return freed
	}
}

// grow makes room for so many bytes in all.
func (f *dirFlight) grow(room *room, total int64) error {
	if f.ctx.Err() != nil {
		return context.Cause(f.ctx)
	}
	if limit, fits := f.ask.m.limit.fits(total); !fits {
		return &DirTooLargeError{Limit: limit}
	}
	return room.grow(f.ctx, total)
}

// DirTooLargeError says that a directory would be larger than the whole cache may be.
// It matches ErrTooLarge.
type DirTooLargeError struct{ Limit int64 } // bytes

func (e *DirTooLargeError) Error() string {
	return fmt.Sprintf("the directory would have more than the %d bytes that the whole cache may: raise its limit", e.Limit)
}

// Is makes it match ErrTooLarge.
func (e *DirTooLargeError) Is(target error) bool { return target == ErrTooLarge }

// treeOf is what is remembered of the directory.
func (a *dirAsk) treeOf(archive fs.Entry, s fs.Survey) fs.Tree {
	t := fs.Tree{
		Name: a.name, URL: RedactURL(a.raw), Bytes: s.Bytes, Files: s.Files, CRC32C: s.CRC32C,
		Archive: fs.Archive{
			Size: archive.Size, CRC32C: archive.CRC32C, Digests: archive.Digests, Unproven: archive.Unproven,
		},
	}
	t.SetIdentity(identity(a.probe.url), archive.CheckedBy)
	return t
}

// dropArchive removes the archive, which nobody needs any more.
func (a *dirAsk) dropArchive(archive *File) {
	if a.keeps {
		return
	}
	err := archive.Close()
	if err == nil {
		err = a.m.removeFile(a.archive)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		a.m.cfg.defaults.logger.Warn("archive is not removed, it goes when its turn comes", "name", a.archive, "error", err)
	}
}
