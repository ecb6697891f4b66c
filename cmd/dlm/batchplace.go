package main

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/batch"
)

// placeCopy puts a file that has just come where it is wanted. It is opened, which
// keeps it from being evicted; should that have happened just before, it is fetched
// again.
func (r *batchRun) placeCopy(ctx context.Context, l batch.Link, d *dlmanager.Download) error {
	name, err := r.nameOf(&l)
	if err != nil {
		return err
	}
	var opts []dlmanager.DownloadOption
	if l.Checksum != "" {
		opts = append(opts, dlmanager.WithChecksum(l.Checksum))
	}
	file, err := r.m.Get(ctx, l.URL, name, append(opts, dlmanager.WithMirrors(l.Mirrors...))...)
	if err != nil {
		return err
	}
	defer file.Close() // read-only: nothing to lose
	target := r.targetOf(d.Dest())
	if r.placing.link {
		return file.LinkTo(target)
	}
	return file.CopyTo(ctx, target, r.placing.mode())
}

// targetOf is where the copy of a file of the cache goes. The cache lets no name
// lead out of it, so this leads nowhere else, either.
func (r *batchRun) targetOf(path string) string {
	inCache, err := filepath.Rel(r.dir, path)
	if err != nil || !filepath.IsLocal(inCache) {
		inCache = filepath.Base(path)
	}
	return filepath.Join(r.target, inCache)
}

func (r *batchRun) nameOf(l *batch.Link) (string, error) {
	if l.Name != "" {
		return l.Name, nil
	}
	return r.naming(l.URL)
}

// outcomeJob is an outcome as the displays and reports know it.
func (r *batchRun) outcomeJob(o *batch.Outcome[batch.Link]) *job {
	j := &job{url: o.URL, result: o.Result, err: o.Err}
	if !o.There() {
		j.name, _ = r.nameOf(&o.Link) // a bad link has none
		return j
	}
	j.path = o.Path
	if inCache, below := strings.CutPrefix(o.Path, r.dir+string(filepath.Separator)); below {
		j.name = filepath.ToSlash(inCache) // costs less than to make it of the URL again
	}
	if r.target != "" {
		j.path = r.targetOf(o.Path)
	}
	return j
}
