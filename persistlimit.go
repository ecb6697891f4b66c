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
// It knows the files of its own process only. What another process adds to a
// directory counts once it is registered, and what another process removes
// counts until it is noticed: when the file's turn comes, or by RemoveOldFiles.
type PersistLimit struct {
	cfg   limitConfig
	on    bool  // false: nothing is ever evicted
	limit int64 // bytes
	plain *plainShelf

	// turn holds a token while a pass evicts: one at a time, and who waits for
	// it waits with a context. Taken before mu, and never under it.
	turn chan struct{}

	mu       sync.Mutex // guards all below; no I/O, callback or log under it
	idle     *sync.Cond // on mu: inUse or removing changed
	dirs     map[shelf]*limitDir
	rank     ranking
	files    int
	bytes    tally        // of the registered files
	reserved tally        // of the rooms
	failed   []*limitFile // out of the candidates because their removal failed
	failedAt int64        // when failed was last tried, in Unix nanoseconds
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
}

// A LimitOption changes how a PersistLimit works.
type LimitOption interface{ applyLimit(*limitConfig) }

type limitConfig struct {
	fs     afero.Fs
	grace  time.Duration // files used within it are not evicted
	now    func() time.Time
	logger *slog.Logger
}

// limitDir is what is known of the files behind one shelf, or behind several
// that lead to the same directory.
type limitDir struct {
	root    string // absolute; "": plain paths
	shelves []shelf
	files   map[string]*limitFile
	holds   map[string]int // also for names that are not registered
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
		cfg: cfg, on: sizeLimit > 0 && fileLimit > 0, limit: math.MaxInt64,
		plain: &plainShelf{fsys: cfg.fs, logger: cfg.logger},
		turn:  make(chan struct{}, 1), dirs: map[shelf]*limitDir{},
	}
	if p.on {
		p.limit = sizeLimit
	}
	p.rank = newRanking(max(fileLimit, 0), p.limit)
	p.idle = sync.NewCond(&p.mu)
	p.dirs[p.plain] = newLimitDir(p.plain, "")
	return p
}

func newLimitDir(s shelf, root string) *limitDir {
	return &limitDir{
		root: root, shelves: []shelf{s},
		files: map[string]*limitFile{}, holds: map[string]int{},
	}
}

// Usage returns what counts against the limit now.
func (p *PersistLimit) Usage() LimitUsage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.usage()
}

// RemoveOldFiles removes files, the one not used for longest first, until the
// rest is within the limit, and returns what it removed. When the limit is
// exceeded it first looks at every registered file again, one stat each: what
// others removed or changed counts as it is now, and what was used meanwhile
// stays. A file that cannot be removed is reported in the error, wrapped with
// its path, keeps counting, and the next one is tried instead.
func (p *PersistLimit) RemoveOldFiles() ([]Removed, error) {
	return p.evictNow(context.Background(), passMode{recount: true, retryFailed: true})
}

// trim is RemoveOldFiles without the look at every file.
func (p *PersistLimit) trim(ctx context.Context) ([]Removed, error) {
	return p.evictNow(ctx, passMode{retryFailed: true})
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
func (p *PersistLimit) enabled() bool { return p.on }

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
	p.drop(d.files[l.Name])
	f := &limitFile{dir: d, name: l.Name, size: accounted(l.Size), spare: true}
	d.files[l.Name] = f
	p.files++
	p.bytes.count(f.size, p.limit)
	p.rank.insert(f)
}

// touch tells that the file called name was used. It does no I/O.
func (p *PersistLimit) touch(s shelf, name string, used time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.dirs[s]; d != nil {
		if f := d.files[name]; f != nil {
			p.rank.raise(f, nanos(used))
		}
	}
}

// forget takes the file called name out of the accounts: somebody removed it.
func (p *PersistLimit) forget(s shelf, name string) {
	p.mu.Lock()
	defer p.unlock()
	if d := p.dirs[s]; d != nil {
		p.drop(d.files[name])
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
	if len(d.shelves) == 0 {
		p.dropAll(d)
	}
	for p.inUse == s {
		p.idle.Wait()
	}
}

// hold keeps the file called name, registered or not, from being evicted until
// release is called. Should it be being removed at this moment, hold waits for
// the end of that: what is there after hold stays there. Shelves must not call it.
func (p *PersistLimit) hold(s shelf, name string) (release func()) {
	d := p.lockDir(s)
	defer p.mu.Unlock()
	d.holds[name]++
	if f := d.files[name]; f != nil {
		f.held = true
		p.rank.unlist(f)
	}
	for r := p.removing; r != nil && r.dir == d && r.name == name; r = p.removing {
		p.idle.Wait()
	}
	return sync.OnceFunc(func() { p.unhold(d, name) })
}

func (p *PersistLimit) unhold(d *limitDir, name string) {
	if p.endHold(d, name) {
		_ = p.makeRoom(context.Background()) // which does not end
	}
}

// endHold reports whether a file may go now that has to.
func (p *PersistLimit) endHold(d *limitDir, name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.holds[name]--; d.holds[name] > 0 {
		return false
	}
	delete(d.holds, name)
	f := d.files[name]
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
			d.shelves = append(d.shelves, s)
			p.dirs[s] = d
			return d
		}
	}
	d := newLimitDir(s, root)
	p.dirs[s] = d
	p.moveInto(d)
	return d
}

// moveInto gives d the plain paths that lie in its directory.
func (p *PersistLimit) moveInto(d *limitDir) {
	for path, f := range p.dirs[p.plain].files {
		if name, ok := d.nameOf(path); ok {
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
	if !p.over() {
		p.told = false
	}
	p.mu.Unlock()
}
