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

func (a *alone) create(d *Download) (*fs.Partial, error) {
	return fs.CreateSibling(a.fs, filepath.Clean(d.dest), d.cfg.mode)
}

func (a *alone) reserve(context.Context, *Download, int64) (*room, error) { return nil, nil }

func (a *alone) landed(*Download, landing) {}

func (a *alone) open(d *Download) (afero.File, error) { return a.fs.Open(d.dest) }

func (a *alone) leave(*Download) {}

func (a *alone) gone(d *Download) { d.close() }
