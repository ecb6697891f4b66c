package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/unpack"
)

// tree is what a job has that fetches an archive and unpacks it.
type tree struct {
	unpack.Options
	name    string                             // of the directory in the cache
	archive atomic.Pointer[dlmanager.Download] // while it is fetched, and from then on
	dir     *dlmanager.Dir                     // leased until the job is over
}

// treeName is the name of the directory that an archive becomes; name is the
// archive's. With other folders dropped it is another one.
func treeName(name string, strip int) string {
	if strip == 0 {
		return name
	}
	return fmt.Sprintf("%s/strip=%d", name, strip)
}

// arrive waits for the job's file, or for its directory.
func (j *job) arrive(ctx context.Context, m *dlmanager.DownloadManager, fresh []dlmanager.DownloadOption) error {
	if j.tree == nil {
		return j.download.Wait()
	}
	opts := append(fresh, j.opts...)
	opts = append(opts, dlmanager.WithProgress(func(d *dlmanager.Download, _, _ int64) { j.tree.archive.Store(d) }))
	dir, err := m.GetDir(ctx, j.url, j.tree.name, j.tree.Fill, opts...)
	j.tree.dir = dir
	return err
}

// outcome is how the file, or the archive, was got.
func (j *job) outcome() dlmanager.Result {
	switch {
	case j.tree == nil:
		return j.download.Result()
	case j.tree.dir != nil:
		return j.tree.dir.Result()
	}
	if d := j.tree.archive.Load(); d != nil {
		return d.Result() // what is kept
	}
	return dlmanager.Result{}
}

// progress is how far the job is. An archive that has come is being unpacked.
func (j *job) progress() dlmanager.Progress {
	d := j.download
	if j.tree != nil {
		d = j.tree.archive.Load()
	}
	if d == nil {
		return dlmanager.Progress{State: dlmanager.StateQueued, Total: -1}
	}
	return d.Progress()
}

// placeDir puts a copy of the job's directory where it is wanted.
func (j *job) placeDir(ctx context.Context) error {
	if j.target == "" {
		j.path = j.tree.dir.Path()
		return nil
	}
	err := j.tree.dir.CopyTo(ctx, j.target)
	if err == nil {
		j.path = j.target
	}
	return err
}

// release ends the lease of the directory.
func (j *job) release() {
	if j.tree != nil && j.tree.dir != nil {
		_ = j.tree.dir.Close() // read-only: nothing to lose
	}
}
