package dlmanager

import (
	"context"
	"path/filepath"
	"time"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
)

// alone is the site of a download without a manager: no queue, no limit.
type alone struct{ fs afero.Fs }

func (a *alone) admit(ctx context.Context, _ *Download) (func(), *fs.Info, error) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	return func() {}, nil, nil
}

func (a *alone) holdOff(string, time.Time) {}

func (a *alone) create(_ context.Context, d *Download, c claim) (*fs.Partial, *fs.Info, error) {
	spot, err := a.spot(d)
	if err != nil {
		return nil, nil, err
	}
	partial, err := c.create(spot, d.cfg.mode)
	if err != nil || !c.awaited || !c.same { // nothing else tells what the file is of
		return partial, nil, err
	}
	if there := a.present(d); changed(c.before, there) {
		return nil, there, partial.Cancel()
	}
	return partial, nil, nil
}

func (a *alone) connect(*Download) (func(), bool) { return func() {}, true }

func (a *alone) crowded(*Download) int { return 0 }

func (a *alone) spot(d *Download) (fs.Spot, error) {
	return fs.SiblingSpot(a.fs, filepath.Clean(d.dest))
}

func (a *alone) present(d *Download) *fs.Info { return fs.Present(a.fs, d.dest) }

func (a *alone) left(*Download) {}

func (a *alone) reserve(context.Context, *Download, int64) (*room, error) { return nil, nil }

func (a *alone) seal(_ *Download, _ *fs.Partial, _ int64, written time.Time) (time.Time, error) {
	return written, nil
}

func (a *alone) freeDisk(context.Context, *Download, int64) bool { return false }

func (a *alone) landing(*Download, landing) {}

func (a *alone) landed(*Download, landing) {}

func (a *alone) entry(*Download, *fs.Info) (fs.Entry, bool) { return fs.Entry{}, false }

func (a *alone) outdated(*Download, fs.Entry, bool) bool { return false }

func (a *alone) reread(context.Context, *Download, *fs.Info) (fs.Entry, error) {
	return fs.Entry{}, nil
}

func (a *alone) record(*Download, fs.Entry) {}

func (a *alone) open(_ context.Context, d *Download) (afero.File, error) { return a.fs.Open(d.dest) }

func (a *alone) leave(*Download) {}

func (a *alone) gone(d *Download) { d.close() }
