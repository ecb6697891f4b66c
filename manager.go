package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"sync"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/digest"
	"github.com/dlmanager/dlmanager/internal/transfer"
)

// DownloadManager downloads files into one cache directory. Downloads of one
// name are shared while they are in flight. All methods may be called at any
// time from any goroutine; several managers, also in other processes, may work
// in one directory.
type DownloadManager struct {
	dir   *fs.Dir
	cfg   managerConfig
	limit *PersistLimit // one that is off where nothing is evicted
	shelf *dirShelf     // the directory as the limit sees it
	queue *queue
	runs  *runners
	own   *http.Client // nil when the caller gave one
	house housekeeping
	// follows says that the limit is the directory's own.
	follows bool

	mu       sync.Mutex             // guards all below; no I/O, no callback under it
	closed   bool                   // no more downloads
	inFlight map[string]*Download   // by folded name: who asks for one of these joins it
	alive    map[*Download]struct{} // in flight, or in their finished hook
	callers  map[*Download]int      // how many want those that nobody has for good; see attend
	files    map[*File]struct{}     // open
	opened   map[*Dir]struct{}      // open
	flights  map[string]*dirFlight  // directories that are being made, by their IDs
	failures failures               // since the last Wait
	shut     chan struct{}          // closed when Close has begun; nil before
	closeErr error

	leasing sync.WaitGroup // who is about to open a file, or looks for one; nobody begins after shut was made
}

// NewDownloadManager returns a manager of the cache directory dir, which is made
// when it is not there. An empty directory becomes a cache by it (see the mark in
// package fs). With a limit, a directory that holds files and is no cache is
// refused with ErrNotCacheDir, unless WithAdopt is given. Close the manager when
// it is not needed any more.
func NewDownloadManager(dir string, opts ...Option) (*DownloadManager, error) {
	cfg := defaultManagerConfig()
	for _, o := range opts {
		o.applyManager(&cfg)
	}
	if dir == "" {
		return nil, errors.New("open cache directory: no directory was given")
	}
	d, err := fs.Open(cfg.defaults.fs, dir, fs.Options{
		Limited:      cfg.limited(),
		Adopt:        cfg.adopt,
		Existing:     cfg.existing,
		InitialLimit: cfg.initialLimit,
		Boot:         cfg.boot,
	})
	if err != nil {
		return nil, err
	}
	m := &DownloadManager{
		dir:      d,
		inFlight: map[string]*Download{},
		alive:    map[*Download]struct{}{},
		callers:  map[*Download]int{},
		files:    map[*File]struct{}{},
		opened:   map[*Dir]struct{}{},
		flights:  map[string]*dirFlight{},
	}
	if cfg.defaults.client == nil {
		m.own = &http.Client{Transport: transfer.NewRoundTripper()}
		cfg.defaults.client = m.own
	}
	if cfg.maxConcurrent < 1 {
		cfg.maxConcurrent = defaultMaxConcurrent
	}
	m.queue = newQueue(cfg.maxConcurrent, cfg.maxPerHost, cfg.requestDelay)
	m.runs = newRunners(cfg.maxConcurrent)
	cfg.defaults.throttle = newThrottle(cfg.rateLimit)
	cfg.defaults.reading = newSemaphore(runtime.GOMAXPROCS(0))
	m.cfg = cfg
	m.limit = m.chooseLimit()
	m.house.start(m)
	return m, nil
}

// limited reports whether the options ask for eviction.
func (c *managerConfig) limited() bool {
	if c.persist != nil {
		return c.persist.enabled()
	}
	return c.fileLimit > 0 && (c.sizeLimit > 0 || !c.sizeLimitSet && c.initialLimit > 0 || c.maxAge > 0 || c.minFree > 0)
}

// chooseLimit returns the limit to evict by: the one that was given, the size
// that was given, or what the directory itself says, now and when it is changed.
func (m *DownloadManager) chooseLimit() *PersistLimit {
	c := &m.cfg
	m.shelf = &dirShelf{m: m, dir: m.dir, hooks: c.defaults.hooks, logger: c.defaults.logger}
	m.shelf.limits.Store(-1)
	given := c.persist
	if given != nil && given.enabled() {
		return given
	}
	size, keep := c.sizeLimit, c.fileLimit
	if given != nil {
		size, keep = 0, 0
	}
	m.follows = given == nil && !c.sizeLimitSet && m.dir.Marked()
	if m.follows {
		size = m.dir.SizeLimit()
	}
	return NewPersistLimit(size, keep, WithFs(c.defaults.fs), WithGrace(c.grace), WithLogger(c.defaults.logger),
		WithMaxAge(c.maxAge), WithMinFree(c.minFree))
}

// Download returns the download of name in the cache, in one of four ways: what
// is in flight already, joined, also if it has another URL; what is on disk, as
// a download that is done; a new one, started; or one that has failed. It never
// returns nil, errors come from Wait.
//
// With an empty name the last segment of the URL's path is the name. Such a name
// is only a label: it stands for a file or a download of the same URL alone, and
// else fails with ErrNameTaken.
//
// Of the options of one who joins, only WithProgress and WithChecksum count.
func (m *DownloadManager) Download(url, name string, opts ...DownloadOption) *Download {
	return m.download(m.newDownload(url, opts), name)
}

// Enqueue is Download for a file that is most likely not there, as one of many new
// ones. Download looks for it at once, and whoever is about to fetch it looks again
// when nobody else can; Enqueue leaves the first look out, a twentieth of what a small
// file takes. So a file that is there may be returned as a download that is done only
// a moment later; it waits neither for a place in the queue nor for its host. Where a
// place makes others wait ([WithRequestDelay]), and with [WithOffline], it is Download.
func (m *DownloadManager) Enqueue(url, name string, opts ...DownloadOption) *Download {
	own := m.newDownload(url, opts)
	own.unseen = true
	return m.download(own, name)
}

func (m *DownloadManager) download(own *Download, name string) *Download {
	d := m.start(own, name, false)
	if d != own && own.cfg.progress != nil {
		d.OnProgress(own.cfg.progress)
	}
	return d
}

func (m *DownloadManager) newDownload(url string, opts []DownloadOption) *Download {
	d := &Download{site: m, cfg: &m.cfg.defaults}
	d.init(url, opts)
	return d
}

// start makes d the download of name and starts it, unless there is nothing to do,
// or returns the one in flight. Of who asks is counted whether he may leave.
func (m *DownloadManager) start(d *Download, name string, mayLeave bool) *Download {
	found, looked := m.findAtOnce(d, name)
	if found {
		return d
	}
	if err := m.locate(d, name); err != nil {
		return m.refuse(d, err)
	}
	running, err := m.claim(d, mayLeave)
	switch {
	case err != nil:
		return m.refuse(d, err)
	case running != nil:
		return running
	}
	m.lookOrStart(d, looked)
	return d
}

// locate settles what the download is of and where it goes.
func (m *DownloadManager) locate(d *Download, name string) error {
	d.name = name // for the log, should it be refused
	if d.cfg.fsGiven {
		return errors.New("WithFs was given to a manager's download: give it to NewDownloadManager")
	}
	u, err := parseURL(d.raw)
	if err != nil {
		return err
	}
	d.url = u
	if name == "" {
		d.derived = true
		name, err = fs.FlatName(u)
	} else {
		name, err = fs.CleanName(name)
	}
	if err != nil {
		return err
	}
	d.name, d.dest = name, m.dir.Path(name)
	return d.parse()
}

// claim makes d the download of its name, or returns the one that is. From here
// on until leave, whoever asks for the name joins d, and whether the file is on disk
// is looked at after it, by who holds its partial file at the latest: so no two fetch it.
func (m *DownloadManager) claim(d *Download, mayLeave bool) (running *Download, err error) {
	key := fs.Fold(d.name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed && (m.shut != nil || d.cfg.landed == nil) { // an archive is part of what Shutdown waits for
		return nil, ErrClosed
	}
	if other := m.inFlight[key]; other != nil {
		switch {
		case other.name != d.name:
			return nil, &NameTakenError{Name: d.name, By: other.name, twin: true}
		case d.derived && identity(other.url) != identity(d.url):
			return nil, &NameTakenError{Name: d.name, By: other.name}
		case other.joinable() && other.serves(d):
			switch other.join(d.check) {
			case agrees:
				m.want(other, mayLeave)
				return other, nil
			case conflicts:
				return nil, ErrChecksumConflict
			}
		}
		d.pending = m.waitFor(other)
	}
	d.state = StateQueued // nobody else knows d yet; the manager alone starts it
	d.pending.key = key
	m.inFlight[key] = d
	m.alive[d] = struct{}{}
	if mayLeave {
		m.callers[d] = 1
	}
	return nil, nil
}

// lookOrStart finishes the download at once if its file is there, and else
// starts it. If somebody has just looked, it does not: whoever is about to fetch a file
// looks again when nobody else can.
func (m *DownloadManager) lookOrStart(d *Download, looked bool) {
	if m.pendingOf(d).earlier == nil {
		unseen := d.unseen && !d.cfg.offline && m.queue.delay <= 0 // else a place makes others wait
		if !unseen && !looked && m.lookFirst(d) {
			return
		}
		t := m.enqueue(d) // here and not in the goroutine: first come, first served
		if unseen && !t.isGranted() && m.lookFirst(d) {
			return // what is there does not wait for a place
		}
	}
	m.runs.start(d)
}

// lookFirst finishes the download if that takes no more than a look, and reports
// whether it has.
func (m *DownloadManager) lookFirst(d *Download) (over bool) {
	info, err := m.look(d)
	if err == nil && info == nil && d.cfg.offline {
		err = d.notCached()
	}
	if err != nil || info != nil && m.settles(d, info) {
		m.settle(d, info, err)
		return true
	}
	d.unsettled = info != nil
	return false
}

// settles reports whether the file that is there is all that is asked for, as far
// as can be told without reading it. If it is, no check is adopted any more.
func (m *DownloadManager) settles(d *Download, there *fs.Info) bool {
	if d.suspect {
		return false
	}
	c := d.seal()
	if c == nil && !d.cfg.sha256 && !d.cfg.fresh.bounded {
		return true
	}
	entry, known := m.dir.Entry(d.name, *there)
	if m.outdated(d, entry, known) && (c == nil || c.spec.URL() != nil) {
		d.unseal()
		return false
	}
	if c == nil && !d.cfg.sha256 {
		return true
	}
	_, hashed := digestIn(entry.Digests, digest.SHA256)
	news := c != nil && (entry.Unproven || c.checksBy(entry)) // to be remembered
	if known && !news && (hashed || !d.cfg.sha256) && c.provenBy(entry) == proven && d.locks(entry) {
		return true
	}
	d.unseal()
	return false
}

// settle ends a download that has nothing to fetch, in the caller's goroutine.
func (m *DownloadManager) settle(d *Download, there *fs.Info, err error) {
	defer d.finishAnyway()
	if hook := d.announce(); hook != nil && err == nil {
		err = hook
	}
	d.mu.Lock()
	if err == nil && d.stop != nil {
		err = d.stop
	}
	d.mu.Unlock()
	var result Result
	if err == nil {
		var entry fs.Entry
		var known bool
		if d.currentCheck() != nil || d.cfg.sha256 { // a plain hit needs no entry
			entry, known = m.dir.Entry(d.name, *there)
		}
		result, err = d.found(*there, entry, known)
	}
	if err != nil {
		result = Result{}
	}
	d.finish(result, err)
}

// refuse returns d as a download that has failed.
func (m *DownloadManager) refuse(d *Download, err error) *Download {
	m.settle(d, nil, err)
	return d
}

// Dest returns the path where the file called name is, or would be.
func (m *DownloadManager) Dest(name string) (string, error) {
	name, err := fs.CleanName(name)
	if err != nil {
		return "", err
	}
	return m.dir.Path(name), nil
}

// Downloads returns what is in flight now, in no order.
func (m *DownloadManager) Downloads() []*Download {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*Download, 0, len(m.inFlight))
	for _, d := range m.inFlight {
		all = append(all, d)
	}
	return all
}

// everyAlive returns what is in flight, and what was stopped and has been
// replaced since.
func (m *DownloadManager) everyAlive() []*Download {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.alive))
}

// Cancel cancels the downloads in flight for which cancelIf is true, all if it
// is nil. It does not wait.
func (m *DownloadManager) Cancel(cancelIf func(*Download) bool) {
	for _, d := range m.everyAlive() {
		if cancelIf == nil || cancelIf(d) {
			d.Cancel()
		}
	}
}

// Interrupt interrupts the downloads in flight for which interruptIf is true,
// all if it is nil. It does not wait.
func (m *DownloadManager) Interrupt(interruptIf func(*Download) bool) {
	for _, d := range m.everyAlive() {
		if interruptIf == nil || interruptIf(d) {
			d.Interrupt()
		}
	}
}

// Shutdown takes no more downloads, waits for those in flight and for the directories
// that are being made, and closes the manager. When ctx ends first, it interrupts the rest, and returns the
// context's cause.
func (m *DownloadManager) Shutdown(ctx context.Context) error {
	m.refuseNew()
	var cut error
	if err := errors.Join(m.awaitFlights(ctx), m.idle(ctx)); err != nil {
		cut = fmt.Errorf("shut down before all downloads were done: %w", err)
	}
	return errors.Join(cut, m.Close())
}

// Close interrupts what is in flight, waits for it, closes the files and directories of
// Get, GetDir and Open, evicts once more if there is a reason to, and releases the directory. The
// second and later calls wait for the first and return what it returned.
func (m *DownloadManager) Close() error {
	m.mu.Lock()
	m.closed = true
	first := m.shut == nil
	if first {
		m.shut = make(chan struct{})
	}
	shut := m.shut
	m.mu.Unlock()
	if !first {
		<-shut
		return m.closeErr
	}
	m.closeErr = m.close()
	close(shut)
	return m.closeErr
}

func (m *DownloadManager) close() error {
	m.endFlights(ErrInterrupted)
	m.Interrupt(nil)
	_ = m.idle(context.Background()) // which never ends
	m.runs.stop()
	err := m.closeFiles()
	err = errors.Join(err, m.house.stop())
	m.limit.forgetShelf(m.shelf)
	if m.own != nil {
		m.own.CloseIdleConnections()
	}
	return errors.Join(err, m.dir.Close())
}

func (m *DownloadManager) refuseNew() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
}

func (m *DownloadManager) isClosed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}
