package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager"
)

// check tells what a call without --check would do. It makes no request.
func (r *syncRun) check(ctx context.Context) error {
	if err := r.askCache(ctx); err != nil {
		return err
	}
	r.table()
	waiting := 0
	for _, it := range r.items {
		if it.standing != inPlace {
			waiting++
		}
	}
	if r.output.json {
		if err := r.printPaths(); err != nil {
			return err
		}
	}
	if waiting == 0 {
		return nil
	}
	r.ui.note("%d of %d not in place", waiting, len(r.items))
	return &notInPlace{waiting}
}

// askCache finds out what the cache has of what is not in place.
func (r *syncRun) askCache(ctx context.Context) error {
	opts := append(r.opts, dlmanager.WithExisting(), dlmanager.WithSizeLimit(0), dlmanager.WithOffline(), dlmanager.WithLockFile(nil))
	m, err := dlmanager.NewDownloadManager(r.dir, opts...)
	if errors.Is(err, iofs.ErrNotExist) || errors.Is(err, dlmanager.ErrNotCacheDir) {
		return nil // so it has nothing
	}
	if err != nil {
		return err
	}
	defer r.close(m)
	for _, it := range r.items {
		if it.standing == inPlace {
			continue
		}
		err := r.ask(ctx, m, it)
		switch {
		case errors.Is(err, dlmanager.ErrNotCached):
		case err != nil:
			return fmt.Errorf("%s: %w", it.about, err)
		default:
			it.cached = true
			if it.path != "" {
				it.standing = inPlace
			}
		}
	}
	return nil
}

// errNotUnpacked says that the cache has an archive, and not what is in it.
var errNotUnpacked = errors.New("not unpacked yet")

// ask fails with ErrNotCached if the cache does not have what is wanted.
func (r *syncRun) ask(ctx context.Context, m *dlmanager.DownloadManager, it *syncItem) error {
	if it.tree == nil {
		it.download = m.Download(it.url, it.name, it.opts...)
		if err := it.download.WaitContext(ctx); err != nil {
			return err
		}
		it.found(it.download.Result(), it.download.Dest())
		return nil
	}
	notYet := func(context.Context, *dlmanager.File, afero.Fs) error { return errNotUnpacked }
	dir, err := m.GetDir(ctx, it.url, it.tree.name, notYet, it.opts...)
	if errors.Is(err, errNotUnpacked) {
		return nil
	}
	if err != nil {
		return err
	}
	it.found(dir.Result(), dir.Path())
	return dir.Close()
}

// found notes what the cache has.
func (it *syncItem) found(result dlmanager.Result, path string) {
	it.result = result
	if it.target == "" {
		it.path = path
	}
}

// notInPlace is the answer of --check that there is something to do. It was said.
type notInPlace struct{ n int }

func (e *notInPlace) Error() string { return fmt.Sprintf("%d not in place", e.n) }

func isNotInPlace(err error) bool {
	_, ok := errors.AsType[*notInPlace](err)
	return ok
}
