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

// housekeeping is the manager's one background goroutine: it puts in order what
// earlier processes left, and tells the limit what is in the directory. Hits
// need neither, so nothing waits for it but the first reservation.
type housekeeping struct {
	m      *DownloadManager
	cancel context.CancelFunc
	over   chan struct{} // closed when the goroutine has ended
	loaded chan struct{} // closed when the limit knows the directory, or never will
	added  atomic.Bool   // a file has landed: Close evicts once more
}

func (h *housekeeping) start(m *DownloadManager) {
	ctx, cancel := context.WithCancel(context.Background())
	h.m, h.cancel = m, cancel
	h.over, h.loaded = make(chan struct{}), make(chan struct{})
	go h.run(ctx)
}

func (h *housekeeping) run(ctx context.Context) {
	defer close(h.over)
	h.report("tidy the cache directory", h.m.dir.Tidy(ctx, time.Now(), h.keep))
	h.load(ctx)
	close(h.loaded)
	h.evict(ctx)
}

// keep registers a partial file that is left for who goes on with it.
func (h *housekeeping) keep(l fs.Leftover) {
	if h.m.limit != nil {
		h.m.limit.addSpare(h.m.shelf, l)
	}
}

// load registers the files that are there.
func (h *housekeeping) load(ctx context.Context) {
	if h.m.limit == nil {
		return
	}
	h.report("read the cache directory", h.m.dir.Walk(ctx, func(name string, info fs.Info) error {
		h.m.limit.add(h.m.shelf, name, info.Size, info.LastUse)
		return nil
	}))
}

func (h *housekeeping) evict(ctx context.Context) {
	if h.m.limit == nil {
		return
	}
	_, err := h.m.limit.trim(ctx)
	h.report("evict", err)
}

func (h *housekeeping) report(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		h.m.cfg.defaults.logger.Warn(what+" failed", "dir", h.m.dir.Root(), "error", err)
	}
}

// awaitLoaded waits until the limit knows the directory.
func (h *housekeeping) awaitLoaded(ctx context.Context) error {
	select {
	case <-h.loaded:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stop ends the goroutine, and evicts once more if there is a reason to.
func (h *housekeeping) stop() error {
	h.cancel()
	<-h.over
	if h.m.limit == nil || !h.added.Load() {
		return nil
	}
	_, err := h.m.limit.trim(context.Background())
	return err
}

// dirShelf is the manager's directory as its limit sees it.
type dirShelf struct {
	dir    *fs.Dir
	hooks  Hooks
	logger *slog.Logger
}

func (s *dirShelf) stat(name string) (size int64, lastUse time.Time, err error) {
	if fs.IsLeftover(name) {
		size, err = s.dir.StatLeftover(name)
		return size, time.Time{}, err
	}
	info, err := s.dir.Stat(name)
	return info.Size, info.LastUse, err
}

func (s *dirShelf) remove(name string) error {
	if !fs.IsLeftover(name) {
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
		"dir", s.dir.Root(), "limit", u.Limit, "bytes", u.Bytes, "reserved", u.Reserved)
	if s.hooks.LimitExceeded != nil {
		s.guard("limit exceeded hook", func() { s.hooks.LimitExceeded(u) })
	}
}

func (s *dirShelf) guard(what string, fn func()) {
	if err := guard(what, fn); err != nil {
		s.logger.Error("hook failed", "error", err)
	}
}
