package dlmanager

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/dlmanager/dlmanager/fs"
)

// dirShelf is the manager's directory as its limit sees it.
type dirShelf struct {
	m      *DownloadManager
	dir    *fs.Dir
	hooks  Hooks
	logger *slog.Logger
	limits atomic.Int64 // fs.Usage.Limits when the directory's own limit was read last; -1: not yet
}

var _ commonShelf = (*dirShelf)(nil)

func (s *dirShelf) stat(name string) (size int64, lastUse time.Time, err error) {
	if fs.IsLeftover(name) {
		size, err = s.dir.StatLeftover(name)
		return size, time.Time{}, err
	}
	if fs.IsTree(name) {
		_, info, err := s.dir.StatTree(name)
		return info.Size, info.LastUse, err
	}
	info, err := s.dir.Stat(name)
	return info.Size, info.LastUse, err
}

func (s *dirShelf) remove(name string) error {
	switch {
	case fs.IsTree(name):
		return s.dir.EvictTree(name)
	case !fs.IsLeftover(name):
		return s.dir.Evict(name)
	}
	err := s.dir.RemoveLeftover(name)
	if errors.Is(err, fs.ErrHeld) { // by who goes on with it, and accounts for it
		return os.ErrNotExist
	}
	if err == nil {
		s.logger.Info("removed an unfinished download", "path", s.dir.Path(name))
	}
	return err
}

func (s *dirShelf) path(name string) string { return s.dir.Path(name) }

func (s *dirShelf) evicted(r Removed) {
	s.logger.Info("evicted", "path", r.Path, "bytes", r.Size, "last_use", r.LastUse)
	if s.hooks.Evicted != nil {
		s.guard("evicted hook", func() { s.hooks.Evicted(r) })
	}
}

func (s *dirShelf) exceeded(u LimitUsage) {
	s.logger.Warn("the size limit is exceeded, and nothing that is left may be evicted",
		"dir", s.dir.Root(), "limit", u.Limit, "bytes", u.Bytes, "reserved", u.Reserved, "why", u.Why)
	if s.hooks.LimitExceeded != nil {
		s.guard("limit exceeded hook", func() { s.hooks.LimitExceeded(u) })
	}
}

func (s *dirShelf) guard(what string, fn func()) {
	if err := guard(what, fn); err != nil {
		s.logger.Error("hook failed", "error", err)
	}
}

func (s *dirShelf) count(c fs.Change) (fs.Usage, bool) {
	u, done := s.dir.Count(c)
	s.follow(u)
	return u, done
}

// follow takes up the directory's own limit if that was changed.
func (s *dirShelf) follow(u fs.Usage) {
	if !s.m.follows || u.Changes == 0 || s.limits.Swap(u.Limits) == u.Limits {
		return
	}
	bytes, err := s.dir.ReadSizeLimit()
	if err != nil {
		s.logger.Warn("the directory's own limit cannot be read: the one that was known stays", "error", err)
		return
	}
	s.m.limit.setLimit(bytes)
}

func (s *dirShelf) usage() fs.Usage { return s.dir.LastUsage() }

func (s *dirShelf) look() { s.follow(s.dir.Usage()) }

func (s *dirShelf) sweep() {
	s.dir.Sweep()
	s.follow(s.dir.LastUsage())
}

func (s *dirShelf) list(ctx context.Context) error { return s.m.house.load(ctx) }

func (s *dirShelf) free() (int64, bool) { return s.dir.Free() }

func (s *dirShelf) noteVictim(v fs.Victim) { s.dir.NoteVictim(v) }

func (s *dirShelf) noteExcess(e fs.Excess) { s.dir.NoteExcess(e) }

func (s *dirShelf) noteAged(now time.Time) { s.dir.NoteAged(now) }
