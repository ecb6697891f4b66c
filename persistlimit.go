package dlmanager

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
)

// PersistLimit keeps the files that are registered with it within a size limit:
// while they exceed it, the files that were not used for longest are removed.
// One PersistLimit may serve several directories and managers; the limit then
// holds for all their files together. It is safe for concurrent use.
//
// In a manager's directory all processes count together what is there and what
// is reserved, and each evicts by that count. Of files outside of one, and where
// the file system has no locks, a PersistLimit knows what is registered with it:
// what another process removes counts until it is noticed, when the file's turn
// comes, or by RemoveOldFiles.
type PersistLimit struct {
	cfg   limitConfig
	plain *plainShelf
	wake  chan struct{} // asks who evicts in the background to go on

	// turn holds a token while a pass evicts: one at a time, and who waits for
	// it waits with a context. Taken before mu, and never under it.
	turn chan struct{}

	mu       sync.Mutex  // guards all below; no I/O, callback or log under it
	on       bool        // false: nothing is ever evicted
	limit    int64       // bytes
	keep     int         // files that stay whatever the limit
	common   []*limitDir // those that other processes count as well
	idle     *sync.Cond  // on mu: inUse or removing changed
	dirs     map[shelf]*limitDir
	rank     ranking
	files    int
	bytes    tally        // of the registered files
	reserved tally        // of the rooms
	failed   []*limitFile // out of the candidates because their removal failed
	failedAt int64        // when failed was last tried, in Unix nanoseconds
	leased   []*limitFile // out of the candidates because somebody holds them open
	leasedAt int64        // when these were last tried
	told     bool         // exceeded was called and the limit is exceeded since
	inUse    shelf        // the pass is calling it; nil: none
	removing *limitFile   // the pass is removing it; nil: none
}

// Removed is a file that was evicted.
type Removed struct {
	Path    string    // absolute
	Size    int64     // bytes
	LastUse time.Time // the later of its access and modification time, or a use that is known otherwise
}

// LimitUsage is what counts against a limit.
type LimitUsage struct {
	Files    int   // registered
	Bytes    int64 // their sizes
	Reserved int64 // bytes that running downloads are going to need
	Limit    int64 // bytes; 0: none
	Over     int64 // bytes by which Bytes and Reserved exceed Limit; 0: they do not

	// While the limit is exceeded, what keeps it so, in bytes, and in short.
	Leased int64 // files that somebody holds open or is about to replace
	Grace  int64 // files that were used within the grace time
	Newest int64 // the newest files, which are kept whatever the limit
	Failed int64 // files that could not be removed
	Why    []Reason
}

// A LimitOption changes how a PersistLimit works.
type LimitOption interface{ applyLimit(*limitConfig) }

type limitConfig struct {
	fs      afero.Fs
	grace   time.Duration // files used within it are not evicted
	maxAge  time.Duration // files not used for longer are; 0: not for that
	minFree int64         // bytes to keep free on the file system; 0: any
	now     func() time.Time
	logger  *slog.Logger
}

// limitDir is what is known of the files behind one shelf, or behind several
// that lead to the same directory.
type limitDir struct {
	root     string // absolute; "": plain paths
	shelves  []shelf
	common   []commonShelf // those of shelves where others count as well
	tracked  bool          // files are registered; else nobody has had to choose among them
	recent   []recentUse   // while they are not: their last uses
	uses     int           // so many went into recent, the last ones are in it
	listing  listing       // the last one
	files    fileSet
	spares   int // of files
	rooms    []*room
	bytes    tally          // of files
	reserved tally          // of rooms
	holds    map[string]int // also for names that are not registered
}

// NewPersistLimit returns a limit of sizeLimit bytes that leaves at least the
// fileLimit newest files alone. With either of them zero or less, nothing is
// ever evicted.
func NewPersistLimit(sizeLimit int64, fileLimit int, opts ...LimitOption) *PersistLimit {
	cfg := limitConfig{fs: afero.NewOsFs(), now: time.Now, logger: slog.New(slog.DiscardHandler)}
	for _, o := range opts {
		o.applyLimit(&cfg)
	}
	p := &PersistLimit{
		cfg: cfg, plain: &plainShelf{fsys: cfg.fs, logger: cfg.logger}, wake: make(chan struct{}, 1),
		turn: make(chan struct{}, 1), dirs: map[shelf]*limitDir{}, keep: fileLimit,
	}
	p.settleLimit(sizeLimit)
	p.rank = newRanking(max(fileLimit, 0), p.limit)
	p.idle = sync.NewCond(&p.mu)
	p.dirs[p.plain] = newLimitDir(p.plain, "")
	return p
}

// noLimit is the limit of who has none.
const noLimit = math.MaxInt64

// settleLimit sets the limit in bytes, and whether anything is ever evicted.
func (p *PersistLimit) settleLimit(bytes int64) {
	p.limit = noLimit
	if bytes > 0 && p.keep > 0 {
		p.limit = bytes
	}
	p.on = p.keep > 0 && (bytes > 0 || p.cfg.maxAge > 0 || p.cfg.minFree > 0)
}

func newLimitDir(s shelf, root string) *limitDir {
	d := &limitDir{
		root: root, holds: map[string]int{},
	}
	d.add(s)
	d.tracked = len(d.common) == 0
	return d
}

// add makes s one of the shelves that lead to the directory.
func (d *limitDir) add(s shelf) {
	d.shelves = append(d.shelves, s)
	if c, ok := s.(commonShelf); ok {
		d.common = append(d.common, c)
	}
}

// Usage returns what counts against the limit now. When the limit is exceeded, it
// takes a look at all that is known of the files, to say why; at the disk only for
// the count that is shared with other processes.
func (p *PersistLimit) Usage() LimitUsage {
	for _, s := range p.commonShelves() {
		s.look()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.explained()
}

// RemoveOldFiles removes files, the one not used for longest first, until the
// rest is within the limit, and returns what it removed. When the limit is
// exceeded it first looks at every registered file again, one stat each: what
// others removed or changed counts as it is now, and what was used meanwhile
// stays. With WithMaxAge, what is too old goes as well. A file that cannot be removed is reported in the error, wrapped with
// its path, keeps counting, and the next one is tried instead.
func (p *PersistLimit) RemoveOldFiles() ([]Removed, error) {
	return p.evictNow(context.Background(), passMode{recount: true, retryFailed: true, aged: p.cfg.maxAge > 0})
}

// trim is RemoveOldFiles without the look at every file. With aged, what is too
// old goes, too.
func (p *PersistLimit) trim(ctx context.Context, aged bool) ([]Removed, error) {
	return p.evictNow(ctx, passMode{retryFailed: true, relist: true, aged: aged && p.cfg.maxAge > 0})
}

// trimLow evicts in the background, down to the low-water mark. It reports whether
// there may be more to evict, for which it is too early to look.
func (p *PersistLimit) trimLow(ctx context.Context) (again bool, err error) {
	e, err := p.evict(ctx, passMode{low: true})
	p.warn(e)
	return e != nil && e.deferred, err
}

func (p *PersistLimit) evictNow(ctx context.Context, mode passMode) ([]Removed, error) {
	pass, err := p.evict(ctx, mode)
	if pass == nil {
		return nil, err
	}
	removed := make([]Removed, len(pass.removed))
	for i, r := range pass.removed {
		removed[i] = r.file
	}
	return removed, errors.Join(append(pass.errs, err)...)
}

// enabled reports whether files are ever evicted.
func (p *PersistLimit) enabled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.on
}

// fits reports whether the limit allows so many bytes at all, and what it is.
func (p *PersistLimit) fits(bytes int64) (limit int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limit, !p.on || bytes <= p.limit
}

// add registers the file called name, or updates what is known of it. It does
// no I/O and evicts nothing.
func (p *PersistLimit) add(s shelf, name string, size int64, used time.Time) {
	d := p.lockDir(s)
	defer p.unlock()
	p.enter(d, name, size, used)
}

// addSpare registers what goes before any file does: a partial file that nobody
// is at work on.
func (p *PersistLimit) addSpare(s shelf, l fs.Leftover) {
	d := p.lockDir(s)
	defer p.unlock()
	p.drop(d.files.get(l.Name))
	f := &limitFile{dir: d, name: l.Name, size: accounted(l.Size), spare: true, round: d.listing.round}
	d.files.put(f)
	p.files++
	d.spares++
	p.countFile(f, 1)
	p.rank.insert(f)
}

// touch tells that the file called name was used. It does no I/O.
func (p *PersistLimit) touch(s shelf, name string, used time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.dirs[s]; d != nil {
		if f := d.files.get(name); f != nil {
			p.rank.raise(f, nanos(used))
		}
	}
}

// forget takes the file called name out of the accounts: somebody removed it.
func (p *PersistLimit) forget(s shelf, name string) {
	p.mu.Lock()
	defer p.unlock()
	if d := p.dirs[s]; d != nil {
		p.drop(d.files.get(name))
	}
}

// forgetShelf takes all files of s out of the accounts. Once it has returned,
// s is not asked to stat or remove any more.
func (p *PersistLimit) forgetShelf(s shelf) {
	p.mu.Lock()
	defer p.unlock()
	d := p.dirs[s]
	if d == nil {
		return
	}
	delete(p.dirs, s)
	d.shelves = slices.DeleteFunc(d.shelves, func(o shelf) bool { return o == s })
	d.common = slices.DeleteFunc(d.common, func(o commonShelf) bool { return o == s })
	if len(d.shelves) == 0 {
		p.dropAll(d)
		p.common = slices.DeleteFunc(p.common, func(o *limitDir) bool { return o == d })
	}
	for p.inUse == s {
		p.idle.Wait()
	}
}

// hold keeps the file called name, registered or not, from being evicted until
// release is called. Should it be being removed at this moment, hold waits for
// the end of that: what is there after hold stays there. Shelves must not call it.
func (p *PersistLimit) hold(s shelf, name string) (release func()) {
	d := p.beginHold(s, name)
	return sync.OnceFunc(func() { p.unhold(d, name) })
}

// beginHold is hold for one who calls unhold once.
func (p *PersistLimit) beginHold(s shelf, name string) *limitDir {
	d := p.lockDir(s)
	defer p.mu.Unlock()
	d.holds[name]++
	if f := d.files.get(name); f != nil {
		f.held = true
		p.rank.unlist(f)
	}
	for r := p.removing; r != nil && r.dir == d && r.name == name; r = p.removing {
		p.idle.Wait()
	}
	return d
}

func (p *PersistLimit) unhold(d *limitDir, name string) {
	if p.endHold(d, name) {
		_ = p.makeRoom(context.Background(), 0) // which does not end
	}
}

// endHold reports whether a file may go now that has to.
func (p *PersistLimit) endHold(d *limitDir, name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := d.holds[name]; n > 1 {
		d.holds[name] = n - 1
		return false
	}
	delete(d.holds, name)
	f := d.files.get(name)
	if f == nil {
		return false
	}
	f.held = false
	p.rank.list(f)
	return p.over()
}

// lockDir locks mu and returns what is known of s. A shelf seen for the first
// time shares the accounts of what leads to the same directory already: a file
// that is registered twice counts once.
func (p *PersistLimit) lockDir(s shelf) *limitDir {
	p.mu.Lock()
	if d := p.dirs[s]; d != nil {
		return d
	}
	p.mu.Unlock()
	root := filepath.Dir(s.path("x")) // not under mu: s belongs to others
	p.mu.Lock()
	if d := p.dirs[s]; d != nil {
		return d
	}
	for _, d := range p.dirs {
		if d.root == root {
			d.add(s)
			p.dirs[s] = d
			return d
		}
	}
	d := newLimitDir(s, root)
	p.dirs[s] = d
	if len(d.common) > 0 {
		p.common = append(p.common, d)
	}
	p.moveInto(d)
	return d
}

// moveInto gives d the plain paths that lie in its directory.
func (p *PersistLimit) moveInto(d *limitDir) {
	for f := range p.dirs[p.plain].files.all() {
		if name, ok := d.nameOf(f.name); ok {
			size, used := f.size, f.lastUse()
			p.drop(f)
			p.enter(d, name, size, used)
		}
	}
}

// nameOf returns the name under which d has the file at path, if it has it.
func (d *limitDir) nameOf(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(d.root, string(filepath.Separator))+string(filepath.Separator))
	return filepath.ToSlash(rest), ok && d.root != ""
}

// unlock ends a change: a limit that is kept again may be exceeded anew.
func (p *PersistLimit) unlock() {
	if p.told && !p.over() {
		p.told = false
	}
	p.mu.Unlock()
}
