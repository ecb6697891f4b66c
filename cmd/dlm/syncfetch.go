package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/dlmanager/dlmanager"
)

// options are those of the artifact's download. What goes to a destination is
// known by its digest from then on.
func (it *syncItem) options(mirrors []string) []dlmanager.DownloadOption {
	var opts []dlmanager.DownloadOption
	if it.checksum != "" {
		opts = append(opts, dlmanager.WithChecksum(it.checksum))
	}
	if len(mirrors) > 0 {
		opts = append(opts, dlmanager.WithMirrors(mirrors...))
	}
	if it.tree != nil {
		return opts
	}
	if it.rel != "" {
		return append(opts, dlmanager.WithSHA256())
	}
	return append(opts, dlmanager.WithMode(it.mode()))
}

// fetch brings what is not in place. If all is, the cache is not even opened.
func (r *syncRun) fetch(ctx context.Context) error {
	work := map[*job]*syncItem{}
	var jobs []*job
	for _, it := range r.items {
		if it.standing == inPlace && !it.unlocked && !r.fresh.asks() {
			continue
		}
		work[it.job], it.path = it, ""
		jobs = append(jobs, it.job)
	}
	if len(jobs) == 0 {
		return nil
	}
	m, err := dlmanager.NewDownloadManager(r.dir, r.opts...)
	if err != nil {
		return err
	}
	defer r.close(m)
	return r.fetchJobs(ctx, m, jobs, func(ctx context.Context, m *dlmanager.DownloadManager, j *job) error {
		return r.placeItem(ctx, m, work[j])
	})
}

// placeItem puts a copy of the file that has come to its destination, unless that
// has it already.
func (r *syncRun) placeItem(ctx context.Context, m *dlmanager.DownloadManager, it *syncItem) error {
	if it.tree != nil {
		return r.placeTree(ctx, it)
	}
	if it.target == "" {
		it.path = it.download.Dest()
		return nil
	}
	file, err := m.Get(ctx, it.url, it.name, it.opts...)
	if err != nil {
		return err
	}
	defer file.Close() // read-only: nothing to lose
	if it.digest, err = digestOf(ctx, it.download.Result(), file); err != nil {
		return err
	}
	now, err := it.look(ctx, r.root, r.state)
	if err != nil {
		return err
	}
	if (now == changed || now == foreign) && !r.flags.overwrite {
		return it.occupied(now)
	}
	if now != inPlace {
		if err := it.copyFrom(ctx, file, r.state); err != nil {
			return err
		}
	}
	it.standing, it.path = now, it.target
	return nil
}

// digestOf is the SHA-256 of the file. Who has fetched it knows it, as a rule.
func digestOf(ctx context.Context, result dlmanager.Result, file *dlmanager.File) (string, error) {
	if digits, ok := strings.CutPrefix(result.Digest, "sha256:"); ok {
		return digits, nil
	}
	return sha256From(ctx, file)
}

// copyFrom places the copy and notes it.
func (it *syncItem) copyFrom(ctx context.Context, file *dlmanager.File, s *syncState) error {
	if fi, err := os.Lstat(it.target); err == nil && fi.IsDir() {
		return &hinted{fmt.Errorf("%s is a folder", it.target), "move it away, or take another destination"}
	}
	if err := file.CopyTo(ctx, it.target, it.mode()); err != nil {
		return err
	}
	fi, err := os.Lstat(it.target)
	if err != nil {
		return err
	}
	s.note(it.rel, it.record(fi, it.digest))
	return nil
}

// occupiedError is the refusal to replace what is not ours, or not any more.
type occupiedError struct {
	path string
	text string
}

func (e *occupiedError) Error() string { return e.path + " " + e.text }

func (it *syncItem) occupied(now standing) error {
	text := "is there, and was not put there by dlm sync"
	switch {
	case it.added:
		text = "has files in it that were not put there, and would be lost"
	case now == changed:
		text = "was changed since it was put there"
	}
	return &hinted{&occupiedError{it.target, text}, "--overwrite replaces it; to keep it, move it away"}
}

func isOccupied(err error) bool {
	_, ok := errors.AsType[*occupiedError](err)
	return ok
}
