package batch

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/afero"
)

// Job is a batch in a directory: which links there are, which are done, which
// failed and why, and values of the caller's own. What it was told stands when the
// process is killed, and is flushed to the disk every second while it runs.
//
// A link is fetched at least once, is not forgotten, and is never fetched twice at a
// time. One that is done is not asked for again, also if its file was evicted
// since. Links are the same when their names are: the one they were given, or the
// one that the job's [Naming] makes of the URL.
//
// All methods may be called at any time from any goroutine, but for Close and
// Remove, which have to wait for the others. See docs/jobs.md for what is on the
// disk.
type Job struct {
	dir    string
	fs     afero.Fs
	lock   afero.File // nil: nothing is kept
	naming Naming

	mu      sync.Mutex // guards all below
	changed sync.Cond  // the queue, or who adds to it
	log     *jobLog
	state   *jobState
	list    *LinkList // what references stand in; nil: none is open
	kept    keptLinks
	adding  int // lists that are being added
	running bool
	closed  bool
}

// JobOption sets up a [Job].
type JobOption func(*jobConfig)

type jobConfig struct {
	magic  string
	naming Naming
}

// WithMagic sets what the job is; see [MagicOf]. A directory with a job that is
// another one is refused with ErrForeign. "", the default: any.
func WithMagic(magic string) JobOption { return func(c *jobConfig) { c.magic = magic } }

// WithJobNaming sets how links without a name are named. It has to be the same for
// all of the job's life. Default: [Tree].
func WithJobNaming(n Naming) JobOption { return func(c *jobConfig) { c.naming = n } }

// ErrNotJob is matched when a directory holds something else than a job, or a job
// of a newer program.
var ErrNotJob = errors.New("the directory is not that of a job, or of a newer program's: give another one")

const (
	logName   = "log"
	jobFormat = 1
)

// OpenJob opens the job in dir, which is made when it is not there. When another
// process has it, that is an *[InUseError], at once. With "", nothing is kept: the
// job ends with the process.
func OpenJob(dir string, opts ...JobOption) (*Job, error) {
	c := jobConfig{naming: Tree}
	for _, o := range opts {
		o(&c)
	}
	j := &Job{dir: dir, fs: afero.NewOsFs(), naming: c.naming}
	j.changed.L = &j.mu
	if dir == "" {
		j.fs = afero.NewMemMapFs()
	} else if err := j.enter(); err != nil {
		return nil, err
	}
	if err := j.load(c.magic); err != nil {
		return nil, errors.Join(fmt.Errorf("open job %s: %w", dir, err), j.Close())
	}
	return j, nil
}

// enter makes the directory and locks it.
func (j *Job) enter() error {
	if err := j.fs.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	names, err := afero.ReadDir(j.fs, j.dir)
	if err != nil {
		return err
	}
	if len(names) > 0 && !j.isOurs() {
		return fmt.Errorf("open job %s: %w", j.dir, ErrNotJob)
	}
	j.lock, err = lockJob(j.fs, j.dir)
	return err
}

// isOurs reports whether the directory is a job's: it has our lock, or our log.
// Files of somebody else that are called so are neither written nor removed.
func (j *Job) isOurs() bool {
	for _, is := range []struct {
		name string
		ours func(afero.File) bool
	}{{lockName, isLock}, {logName, isLog}} {
		f, err := j.fs.Open(j.path(is.name))
		if err != nil {
			continue
		}
		ours := is.ours(f)
		_ = f.Close() // read-only: nothing to lose
		return ours
	}
	return false
}

// load reads the log, or begins it.
func (j *Job) load(magic string) error {
	if err := j.fs.Remove(j.path(newLogName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	log, err := openLog(j.fs, j.path(logName))
	if err != nil {
		return err
	}
	j.log, j.state = log, newJobState()
	if !isLog(log.file) {
		return ErrDamaged
	}
	if fi, err := log.file.Stat(); err == nil {
		// At 20 bytes for a link, which is what one by reference takes, nothing has
		// to grow while it is read; more is not made for what may be of another kind.
		j.state.seen = make(map[[16]byte]uint32, min(fi.Size()/40, 1<<20))
	}
	if err := log.replay(j.state.apply); err != nil {
		return err
	}
	if log.size == 0 {
		return j.begin(magic)
	}
	if magic != "" && j.state.magic != magic {
		return fmt.Errorf("%w: it is another job's directory: begin anew (Remove), or give another one", ErrForeign)
	}
	// What an earlier process wrote may be on its way yet. From here on, records say
	// that it is not, so that damage is not taken for a crash.
	return errors.Join(log.sync(), j.compactIfWorthIt())
}

// begin writes the header of a new log.
func (j *Job) begin(magic string) error {
	return j.recordLocked(kindHeader, headerBody(magic, 0))
}

func (j *Job) path(name string) string { return filepath.Join(j.dir, name) }

// Close saves the job and gives its directory free.
func (j *Job) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	var err error
	if j.log != nil {
		err = errors.Join(j.log.sync(), j.log.file.Close())
	}
	if j.lock != nil {
		err = errors.Join(err, j.lock.Close())
	}
	return err
}

// Remove closes the job and removes its directory, if nothing else is in it.
func (j *Job) Remove() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errJobClosed
	}
	j.closed = true
	err := j.log.file.Close()
	if j.lock == nil {
		return err
	}
	err = errors.Join(err, j.fs.Remove(j.path(logName)))
	// The lock goes last: who finds the file gone under his lock tries again.
	if gone := j.fs.Remove(j.path(lockName)); gone != nil { // Windows removes no open file
		defer func() { _ = j.fs.Remove(j.path(lockName)); _ = j.fs.Remove(j.dir) }()
	}
	_ = j.fs.Remove(j.dir) // if nothing else is in it
	return errors.Join(err, j.lock.Close())
}

var errJobClosed = errors.New("the job is closed")

// RemoveJob removes the job in dir, also one that cannot be opened because it is
// damaged or another program's; ErrInUse if somebody has it. That there is none is no
// error.
func RemoveJob(dir string) error {
	j := &Job{dir: dir, fs: afero.NewOsFs()}
	if _, err := j.fs.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := j.enter(); err != nil {
		return err
	}
	if err := j.fs.Remove(j.path(newLogName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(err, j.lock.Close())
	}
	log, err := openLog(j.fs, j.path(logName))
	if err != nil {
		return errors.Join(err, j.lock.Close())
	}
	j.log = log
	return j.Remove()
}

// Sync flushes the job to the disk.
func (j *Job) Sync() error {
	j.mu.Lock()
	log, size := j.log, j.log.size
	if j.closed || log.synced >= size {
		defer j.mu.Unlock()
		if j.closed {
			return errJobClosed
		}
		return nil
	}
	j.mu.Unlock()
	err := log.file.Sync() // without the mutex: it may take long
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.log != log { // it was written anew meanwhile, which flushed it
		return nil
	}
	if err != nil {
		return fmt.Errorf("save job: %w", err)
	}
	log.synced = max(log.synced, size)
	return nil
}

// SetValue keeps a value of the caller's own, of up to 32 KiB with its key.
func (j *Job) SetValue(key string, value []byte) error {
	body := append(appendText(nil, key), value...)
	if len(body) > 32<<10 {
		return fmt.Errorf("value %.40q is larger than 32 KiB", key)
	}
	return j.record(kindValue, body)
}

// UnsetValue forgets a value.
func (j *Job) UnsetValue(key string) error {
	j.mu.Lock()
	_, there := j.state.values[key]
	j.mu.Unlock()
	if !there {
		return nil
	}
	return j.record(kindUnset, appendText(nil, key))
}

// Values returns a copy of the caller's values.
func (j *Job) Values() map[string][]byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.state.values)
}

// record writes a record and lets the state know of it.
func (j *Job) record(kind byte, body []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.recordLocked(kind, body)
}

func (j *Job) recordLocked(kind byte, body []byte) error {
	return j.recordAll([]record{{kind: kind, body: body}})
}

// recordAll writes records with one write. It needs mu.
func (j *Job) recordAll(records []record) error {
	if j.closed {
		return errJobClosed
	}
	if err := j.log.appendAll(records); err != nil {
		return err
	}
	for i := range records {
		r := &records[i]
		if err := j.state.apply(r.kind, r.at, r.body); err != nil {
			return err
		}
	}
	j.changed.Broadcast()
	return j.compactIfWorthIt()
}
