package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/ending"
)

// Download is the life of one destination: it runs in a goroutine of its own,
// writes to a temporary file, and renames it into place when it is whole. All
// methods may be called at any time from any goroutine.
type Download struct {
	raw     string
	url     *url.URL // nil if it cannot be parsed; then it fails
	name    string   // in the cache; the destination for a stand-alone one
	derived bool     // the name was derived from the URL
	dest    string
	cfg     *downloadConfig // the manager's own unless options were given; nobody changes it
	site    site
	sources []source  // where to ask, in this order; none before it is parsed
	asked   time.Time // when somebody asked for it
	// The caller's until it is started, and then the goroutine's:
	unseen    bool  // its file need not be looked for before there is a place
	unsettled bool  // a file is there, and it takes more than a look to tell whether it is the one
	stale     bool  // the file that is there is not the one that was asked for
	suspect   bool  // it has to be read before it counts
	asking    bool  // it is the one, and its origin is asked whether it is still current
	asks      int   // which source is asked
	absent    bool  // nothing had its name when that was last looked for
	counted   int64 // bytes of a partial file taken over that are in the common count, and in no room yet

	pending pending // its site's

	observers observers
	meter     meter

	mu       sync.Mutex // guards all below
	state    State
	stop     error           // ErrCanceled or ErrInterrupted, once asked for
	abort    *ending.Context // its end is that of what is under way; nil before it starts
	err      error           // the outcome, when over
	result   *Result         // nil: none yet, or that of a file that was found at once; see outcome
	attempts int
	holder   string        // who is waited for
	check    *check        // nil: none
	sealed   bool          // no check can be adopted any more
	over     bool          // the outcome stands
	done     chan struct{} // closed after the finished hook; made when first asked for
	closed   bool          // done is closed, or will be closed when made
	modTime  int64         // of the file that it brought or found, in Unix nanoseconds
}

// site is where a download takes place: what whoever owns it decides for it.
type site interface {
	// admit waits until the download may begin and looks whether it still has
	// to. It returns either what gives its place back, or the file that is there
	// by now.
	admit(ctx context.Context, d *Download) (release func(), there *fs.Info, err error)
	// holdOff is told that the host of the URL that answered, which comes without
	// secrets, wants nobody before until.
	holdOff(answered string, until time.Time)
	// connect takes a place for one more connection to the download's host.
	connect(d *Download) (release func(), ok bool)
	// crowded returns how many connections the host has too many, of those beyond the
	// first of each download.
	crowded(d *Download) int
	// create makes the partial file, locked, or takes over the one that was left.
	// It returns the file instead if that is there by now, and fs.ErrHeld while
	// somebody else fetches it.
	create(ctx context.Context, d *Download, c claim) (*fs.Partial, *fs.Info, error)
	// spot is where the partial file lies.
	spot(d *Download) (fs.Spot, error)
	// present describes the file that has the destination's name; nil: none.
	present(d *Download) *fs.Info
	// left is told that the partial file stays, to be gone on with.
	left(d *Download)
	// reserve makes room for n more bytes; a nil room is boundless.
	reserve(ctx context.Context, d *Download, n int64) (*room, error)
	// seal is told that the partial file is whole, before it is flushed and gets its
	// name, and returns its modification time.
	seal(d *Download, p *fs.Partial, size int64, written time.Time) (time.Time, error)
	// freeDisk removes what is not needed, about n bytes, as the disk is full. It
	// reports whether there was anything.
	freeDisk(ctx context.Context, d *Download, n int64) bool
	// landing is told what file is about to get its name.
	landing(d *Download, l landing)
	// landed is told that it has.
	landed(d *Download, l landing)
	// entry returns what is remembered of the file that is there.
	entry(d *Download, there *fs.Info) (fs.Entry, bool)
	// outdated reports whether the origin has to be asked before it is used.
	outdated(d *Download, e fs.Entry, known bool) bool
	// reread reads a suspect file that is there. It returns what is remembered of
	// it, or errGone or errDamaged.
	reread(ctx context.Context, d *Download, there *fs.Info) (fs.Entry, error)
	// record remembers something new of it.
	record(d *Download, e fs.Entry)
	// open opens the finished file, which is not evicted until it is closed.
	open(ctx context.Context, d *Download) (afero.File, error)
	// leave is told that the outcome stands, before the finished hook.
	leave(d *Download)
	// gone is told that the hook is over; it must call d.close.
	gone(d *Download)
}

// landing is what is known of a file that gets its name.
type landing struct {
	room      *room    // once it has it
	replaced  *fs.Info // what had the name before, once it has it; nil: nothing
	modTime   time.Time
	written   time.Time // by the file system's clock
	result    Result
	digests   string   // all that are known
	checkedBy [16]byte // see fs.Entry
	from      [16]byte // see fs.Entry
}

// Result is how a download ended.
type Result struct {
	Origin          Origin
	Bytes           int64         // size of the file
	ResumedFrom     int64         // bytes that an earlier download had left and that were kept; 0: none
	Kept            int64         // bytes of a download that failed which are kept for the next one
	WireBytes       int64         // bytes of bodies that came, also those that were not kept
	CRC32C          uint32        // of the file, if it was fetched
	ETag            string        // as sent
	LastModified    string        // as sent
	Source          string        // which was asked for it, the URL, a mirror or what WithRewrite made of them, without secrets; "" if it was not fetched
	FinalURL        string        // the one that sent the file, after redirects, without secrets
	Digest          string        // "sha256:…", or by the algorithm of the checksum; "" if none was computed
	DispositionName string        // what Content-Disposition proposed; never used as a name
	Attempts        int           // requests made; redirects, further connections and checksum files not counted
	Stale           error         // why the origin could not be asked, if WithStaleIfError let the file be used all the same; else nil
	Verified        bool          // false: the file was fetched, and nothing proved that its end was the end, nor was there a checksum
	Elapsed         time.Duration // from the start to the outcome; 0 for a file that was there
}

// Origin says where a file came from.
type Origin int

const (
	OriginNone        Origin = iota // there is no file
	OriginFetched                   // from the server, now
	OriginCached                    // it was there
	OriginResumed                   // from the server, the rest of what an earlier download had left
	OriginJoined                    // another process was fetching it, and has
	OriginRevalidated               // it was there, and its origin says that it is still current
)

func (o Origin) String() string {
	return [...]string{"", "fetched", "cached", "resumed", "joined", "revalidated"}[o]
}

// NewDownload returns a download of its own, without a manager: the file goes to
// the path dest, by way of a hidden file beside it. An existing file is replaced
// when the new one is whole; a directory there is an error. Start begins it.
func NewDownload(url, dest string, opts ...DownloadOption) *Download {
	cfg := defaultDownloadConfig()
	d := &Download{cfg: &cfg}
	d.init(url, opts)
	d.name, d.dest = dest, dest
	d.site = &alone{fs: d.cfg.fs}
	return d
}

// parse reads what was given as text.
func (d *Download) parse() (err error) {
	if d.url == nil {
		if d.url, err = parseURL(d.raw); err != nil {
			return err
		}
	}
	if err := errors.Join(d.cfg.checkRewrites(), d.cfg.checkHostHeaders()); err != nil {
		return err
	}
	d.sources = d.cfg.sourcesOf(d.url)
	for _, raw := range d.cfg.mirrors {
		u, err := parseURL(raw)
		if err != nil {
			return fmt.Errorf("mirror: %w", err)
		}
		d.sources = append(d.sources, d.cfg.sourcesOf(u)...)
	}
	c, err := d.lockedCheck()
	if err == nil && d.cfg.checksum != "" {
		c, err = newCheck(d.cfg.checksum, d.cfg.fs, checkNames(d.url, d.name))
	}
	if err == nil && c != nil {
		d.setCheck(c)
	}
	return err
}

// init takes in what was asked for, by options that change what its configuration is
// so far.
func (d *Download) init(raw string, opts []DownloadOption) {
	d.raw = raw
	if len(opts) > 0 {
		own := *d.cfg
		for _, o := range opts {
			o.applyDownload(&own)
		}
		d.cfg = &own
	}
	if d.cfg.fresh.bounded {
		d.asked = time.Now()
	}
	d.meter.total.Store(-1)
	if d.cfg.progress != nil {
		d.observers.set(primary, d.cfg.progress)
	}
}

// Start begins the download and returns at once. Once begun, it does nothing.
func (d *Download) Start() {
	d.mu.Lock()
	begun := d.state != StateNew
	if !begun {
		d.state = StateQueued
	}
	d.mu.Unlock()
	if !begun {
		go d.live()
	}
}

// Wait starts the download if nobody did, waits until it is over, its finished
// hook included, and returns its outcome.
func (d *Download) Wait() error {
	d.Start()
	if !d.isClosed() {
		<-d.Done()
	}
	return d.Err()
}

// isClosed reports whether Done is closed, or would be.
func (d *Download) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// WaitContext is Wait that gives up when ctx ends, with the context's cause. The
// download goes on.
func (d *Download) WaitContext(ctx context.Context) error {
	d.Start()
	select {
	case <-d.Done():
		return d.Err()
	default:
	}
	select {
	case <-d.Done():
		return d.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Done returns a channel that is closed when the download is over, its finished
// hook included.
func (d *Download) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil {
		d.done = make(chan struct{})
		if d.closed {
			close(d.done)
		}
	}
	return d.done
}

// close ends all waits.
func (d *Download) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.done != nil {
		close(d.done)
	}
}

// Err returns the outcome: nil while it is not known, and for success.
func (d *Download) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// Cancel ends the download for everybody who waits for it; its outcome is
// ErrCanceled, unless it was decided before. What was received is deleted. It
// does not wait.
func (d *Download) Cancel() { d.halt(ErrCanceled) }

// Interrupt ends the download as Cancel does, with ErrInterrupted, and keeps
// what a later call can go on from.
func (d *Download) Interrupt() { d.halt(ErrInterrupted) }

func (d *Download) halt(why error) { d.decide(why)() }

// decide settles that the download is to end, so that nobody joins it any more,
// and returns what ends it.
func (d *Download) decide(why error) (abort func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over || (d.stop != nil && why != ErrCanceled) {
		return func() {}
	}
	d.stop = why
	running := d.abort
	if running == nil {
		return func() {} // live looks for it
	}
	return func() { running.End(why) }
}

// joinable reports whether the download is on its way to its file: its end has
// neither come nor been asked for.
func (d *Download) joinable() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stop == nil && !d.over
}

// IsCanceled reports whether the download was cancelled: asked to, while it is
// not over; ended by it, when it is.
func (d *Download) IsCanceled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return errors.Is(d.err, ErrCanceled)
	}
	return d.stop == ErrCanceled
}

// IsRunning reports whether the download has started and is not over.
func (d *Download) IsRunning() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state != StateNew && !d.over
}

// URL returns the URL as it was given, with its secrets. See [RedactURL].
func (d *Download) URL() string { return d.raw }

// Dest returns the path where the file is when the download succeeds.
func (d *Download) Dest() string { return d.dest }

// SetProgress sets the function that is told of the progress, in place of the
// one set before; nil ends that. When the download has succeeded already, the
// function is called at once with its size.
func (d *Download) SetProgress(fn ProgressFunc) { d.observe(primary, fn) }

// OnProgress adds a function that is told of the progress, beside others, until
// stop is called. When the download has succeeded already, it is called at once
// with its size.
func (d *Download) OnProgress(fn ProgressFunc) (stop func()) {
	id := d.observers.newID()
	d.observe(id, fn)
	return func() { d.observers.set(id, nil) }
}

func (d *Download) observe(id int, fn ProgressFunc) {
	d.mu.Lock()
	succeeded, size := d.over && d.err == nil, d.outcome().Bytes
	if !succeeded {
		d.observers.set(id, fn) // under mu: finish tells it the end if nobody else does
	}
	d.mu.Unlock()
	if succeeded && fn != nil {
		if err := guard("progress function", func() { fn(d, size, size) }); err != nil {
			d.cfg.logger.Warn("progress function failed after the download", "name", d.name, "error", err)
		}
	}
}

// Progress returns how far the download is.
func (d *Download) Progress() Progress {
	current, total, rate := d.meter.read(time.Now())
	d.mu.Lock()
	defer d.mu.Unlock()
	p := Progress{State: d.state, Current: current, Total: total, Rate: rate, Attempt: d.attempts, AwaitedFrom: d.holder}
	if d.state == StateTransferring {
		p.Connections = max(1, int(d.meter.connections.Load()))
	}
	return p
}

// Result returns how the download ended; before that, and after a failure, what
// is known.
func (d *Download) Result() Result {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.outcome()
}

// outcome returns how the download ended. Of a file that was found at once the size is
// all there is to be said, and the meter has that. It needs mu.
func (d *Download) outcome() Result {
	switch {
	case d.result != nil:
		return *d.result
	case d.over && d.err == nil:
		return Result{Origin: OriginCached, Bytes: d.meter.total.Load(), Verified: true}
	}
	return Result{}
}

// CopyTo waits for the download and copies its file to the path dst, outside the
// cache: whole or not at all, in place of a file that is there. Missing folders
// are made; perm counts before the umask. The copy is flushed as WithSync says. If
// the file was removed meanwhile, it is ErrNotCached.
func (d *Download) CopyTo(ctx context.Context, dst string, perm os.FileMode) error {
	if err := d.WaitContext(ctx); err != nil {
		return err
	}
	src, err := d.site.open(ctx, d)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("copy %s: %w", d.dest, ErrNotCached)
	}
	if err != nil {
		return err
	}
	defer src.Close() // read-only: nothing to lose
	return fs.CopyTo(ctx, src, d.cfg.fs, dst, perm, d.cfg.sync)
}

// brought reports whether the file that is there now may be given to who asked
// for this download: with a checksum only the one that has it.
func (d *Download) brought(info fs.Info) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.check == nil {
		return true
	}
	info.ModTime = time.Unix(0, info.ModTime.UnixNano()) // as d.modTime was, also where that overflows
	return info.Is(d.outcome().Bytes, time.Unix(0, d.modTime))
}

func (d *Download) setModTime(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.modTime = t.UnixNano()
}
