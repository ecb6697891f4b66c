package dlmanager

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/dlmanager/dlmanager/fs"
)

// housekeeping is the manager's one background goroutine: it puts in order what
// earlier processes left, and evicts what can go without hurry. Hits need
// neither; a reservation waits only until there is a count to go by.
type housekeeping struct {
	m      *DownloadManager
	cancel context.CancelFunc
	over   chan struct{} // closed when the goroutine has ended
	tidied chan struct{} // closed when what earlier processes left has been looked at
	ready  chan struct{} // closed when it is known what the directory holds, or never will be
	exact  atomic.Bool   // the next look at the files is to be at each of them
	added  atomic.Bool   // there is a reason to evict once more at Close
}

func (h *housekeeping) start(m *DownloadManager) {
	ctx, cancel := context.WithCancel(context.Background())
	h.m, h.cancel = m, cancel
	h.over, h.tidied, h.ready = make(chan struct{}), make(chan struct{}), make(chan struct{})
	go h.run(ctx)
}

func (h *housekeeping) run(ctx context.Context) {
	defer close(h.over)
	h.m.limit.attach(h.m.shelf)
	counted := h.counted()
	if counted {
		close(h.ready)
	}
	h.report("tidy the cache directory", h.m.dir.Tidy(ctx, time.Now(), h.keep))
	close(h.tidied)
	if !counted {
		h.report("read the cache directory", h.m.limit.learn(ctx, h.m.shelf))
		close(h.ready)
	}
	h.evict(ctx)
	h.serve(ctx)
}

// counted reports whether one can tell without a look at all files whether the
// limit is kept. A limit that somebody else made shows all it knows: there, the
// files are registered.
func (h *housekeeping) counted() bool {
	m := h.m
	if !m.limit.enabled() {
		return true
	}
	return m.cfg.persist == nil && isRecent(m.dir.Usage(), time.Now())
}

// recountAfter is how long a count is believed, should something have come or
// gone behind its back.
const recountAfter = 24 * time.Hour

func isRecent(u fs.Usage, now time.Time) bool {
	age := now.Sub(u.Counted)
	return u.Known && age < recountAfter && age > -recountAfter
}

// serve evicts in the background when it is asked to, and what is too old.
func (h *housekeeping) serve(ctx context.Context) {
	list := time.NewTicker(listEvery)
	defer list.Stop()
	var tick <-chan time.Time
	if age := h.m.cfg.maxAge; age > 0 {
		ticker := time.NewTicker(ageInterval(age))
		defer ticker.Stop()
		tick = ticker.C
	}
	var again <-chan time.Time
	trim := func() {
		deferred, err := h.m.limit.trimLow(ctx)
		h.report("evict", err)
		if again = nil; deferred {
			again = time.After(trimAgain)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.m.limit.wake:
			trim()
		case <-again:
			trim()
		case <-tick:
			h.evict(ctx)
		case <-list.C:
			h.exact.Store(true)
			h.report("list the cache directory", h.m.limit.relist(ctx, h.m.shelf, !h.counted()))
		}
	}
}

// listEvery is how often the files are listed and counted while a manager is open,
// should others add or remove files behind the back of the count, or have died. Of a
// million files that takes some seconds of each hour, and what is missed meanwhile is
// noticed when it is asked for or its turn to go comes.
const listEvery = time.Hour

// trimAgain is when eviction in the background goes on that has to look for what other
// processes have added, and has just done so.
const trimAgain = time.Second

// ageInterval is how often files are gone through for their age: often enough
// that none outstays its time by much, and not all the time.
func ageInterval(age time.Duration) time.Duration {
	return min(max(age/16, time.Minute), time.Hour)
}

// keep registers a partial file that is left for who goes on with it.
func (h *housekeeping) keep(l fs.Leftover) { h.m.limit.addSpare(h.m.shelf, l) }

// manyFiles is from how many files on that are in the journal it is worth while not
// to look at each: below, that takes some twenty milliseconds, and says more.
const manyFiles = 10_000

// load registers the files that are there. What it does not have to count it does
// not have to look at, if there are many: then what the journal knows will do.
func (h *housekeeping) load(ctx context.Context) error {
	m := h.m
	if h.exact.Swap(false) || !isRecent(m.dir.Usage(), time.Now()) || m.dir.Remembered(ctx) < manyFiles {
		return h.count(ctx)
	}
	err := m.dir.Leftovers(ctx, time.Now(), h.keep)
	err = errors.Join(err, h.trees(ctx, nil))
	return errors.Join(err, m.dir.List(ctx, func(name string, size int64, used time.Time) error {
		m.limit.add(m.shelf, name, size, used)
		return nil
	}))
}

// count registers the files, and counts them.
func (h *housekeeping) count(ctx context.Context) error {
	m := h.m
	mended := m.dir.MendTrees(ctx)
	count := m.dir.Recount()
	err := m.dir.Leftovers(ctx, time.Now(), func(l fs.Leftover) {
		count.Leftover(l.Size)
		h.keep(l)
	})
	err = errors.Join(err, mended, h.trees(ctx, count))
	err = errors.Join(err, m.dir.Walk(ctx, func(name string, info fs.Info) error {
		count.File(info.Size)
		m.limit.add(m.shelf, name, info.Size, info.LastUse)
		return nil
	}))
	if ctx.Err() == nil {
		count.End(time.Now())
	}
	return err
}

// trees registers the directories, and counts them if count is not nil.
func (h *housekeeping) trees(ctx context.Context, count *fs.Recount) error {
	m := h.m
	return m.dir.EachTree(ctx, func(id string, _ fs.Tree, info fs.Info) error {
		if count != nil {
			count.File(info.Size)
		}
		m.limit.add(m.shelf, id, info.Size, info.LastUse)
		return nil
	})
}

// evict keeps the limit, and removes what is too old if nobody has done that
// lately.
func (h *housekeeping) evict(ctx context.Context) {
	_, err := h.m.limit.trim(ctx, h.isAgeDue())
	h.report("evict", err)
}

func (h *housekeeping) isAgeDue() bool {
	age := h.m.cfg.maxAge
	if age <= 0 {
		return false
	}
	since := time.Since(h.m.dir.Usage().Aged)
	return since < 0 || since >= ageInterval(age)
}

func (h *housekeeping) report(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		h.m.cfg.defaults.logger.Warn(what+" failed", "dir", h.m.dir.Root(), "error", err)
	}
}

// isTidied reports whether no partial file that somebody left is looked at any more.
func (h *housekeeping) isTidied() bool {
	select {
	case <-h.tidied:
		return true
	default:
		return false
	}
}

// awaitTidied waits until no partial file that somebody left is being looked at,
// which takes a lock on it.
func (h *housekeeping) awaitTidied(ctx context.Context) error {
	select {
	case <-h.tidied:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// awaitReady waits until the limit can be judged.
func (h *housekeeping) awaitReady(ctx context.Context) error {
	select {
	case <-h.ready: // it nearly always is, and to look at one channel costs next to nothing
		return nil
	default:
	}
	select {
	case <-h.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stop ends the goroutine, and evicts once more if there is a reason to.
func (h *housekeeping) stop() error {
	h.cancel()
	<-h.over
	due := h.isAgeDue()
	if !due && !h.added.Load() {
		return nil
	}
	_, err := h.m.limit.trim(context.Background(), due)
	return err
}
