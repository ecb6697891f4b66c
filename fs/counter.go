package fs

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/afero"
)

const (
	usageFile = ownDir + "/usage"
	aliveDir  = ownDir + "/alive"
)

// counter keeps a Dir's part of the count that all processes share. The count is
// one small file, read and written anew under its lock for a change: five system
// calls, some 3 µs. Nobody waits for a lock without end; what could not be noted
// is noted with the next change. What small files need is reserved ahead for many
// of them, and they are noted together; see quick.
//
// What a process has reserved stands in the file under its number, and it holds a
// lock on a file of that name as long as it lives.
type counter struct {
	fsys afero.Fs
	id   uint64

	seen   sync.Mutex // guards latest, for moments; who changes it has mu as well
	latest Usage      // as the count was seen last

	mu      sync.Mutex // guards all below, also while the file is at work on: for microseconds, or lockTries
	off     bool       // each process counts for itself
	file    afero.File // nil: not open yet
	alive   afero.File // nil: nothing was reserved yet
	buf     []byte
	size    int         // of the ledger in the file, as it was seen last; 0: not known
	last    ledger      // as it was seen last, with what is late
	mine    claimed     // what this Dir has reserved
	noted   claimed     // the same as it stands in the file, with what is reserved ahead
	quickly int         // how many changes quick has made since
	run     int         // how many changes came, one soon after the other, until now
	came    time.Time   // when the latest of them did
	settle  *time.Timer // has them noted; nil: there were none yet
	late    struct{ files, bytes, limits int64 }
	owed    bool      // somebody held the lock: what is late is to be noted as soon as he does not
	buried  bool      // somebody took us for dead, and what is reserved for files
	added   int64     // by this Dir, ever
	frozen  time.Time // somebody holds the lock and does not go on: tried once each time until then
	swept   time.Time
	checked time.Time // when the file was last seen to have its name
}

// lockTries is how often is tried to get the lock, for some second. It is needed
// for microseconds; who has it for longer was stopped, or the machine is at its
// end: with fifty processes that want a processor, it took up to 230 tries. Tries are counted and not the time, in which we may have been stopped
// ourselves. While others get the lock, it goes on for lockRounds times as long.
// Then nobody waits for it for frozenTime.
const (
	lockTries  = 1000
	lockRounds = 10
	frozenTime = 10 * time.Second
)

// checkEvery is how often one looks whether somebody has removed the file. What is
// noted in one that is gone is found when the files are counted.
const checkEvery = 10 * time.Millisecond

func newCounter(fsys afero.Fs, on bool) *counter {
	id := rand.Uint64()
	return &counter{fsys: fsys, off: !on, id: id, mine: claimed{id: id}, noted: claimed{id: id}}
}

func (c *counter) works() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.off
}

// change lets fn change the ledger.
func (c *counter) change(fn func(*ledger)) {
	c.update(func(l *ledger) bool {
		fn(l)
		return true
	})
}

// update is change for an fn that may find nothing to change, and says so.
func (c *counter) update(fn func(*ledger) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.updateAhead(func(l *ledger) (int64, bool) { return 0, fn(l) })
}

// updateAhead is update for an fn that also says how much is to be reserved ahead.
// It needs mu.
func (c *counter) updateAhead(fn func(*ledger) (ahead int64, changed bool)) {
	if c.off {
		fn(&ledger{})
		return
	}
	if err := c.lock(); err != nil {
		c.aside(fn)
		if errors.Is(err, errLockHeld) {
			c.owed = true
			c.settleSoon()
		}
		return
	}
	defer c.unlock()
	l := c.load()
	ahead, changed := fn(&l)
	if !changed && !c.owed {
		c.publish(&l)
		return
	}
	l.changes++
	if err := c.store(&l, ahead); err != nil {
		c.late.files, c.late.bytes, c.late.limits = l.files-c.last.files, l.bytes-c.last.bytes, l.limits-c.last.limits
	}
	c.publish(&l)
}

// aside changes what is known of the ledger, which cannot be had.
func (c *counter) aside(fn func(*ledger) (int64, bool)) {
	if c.off {
		fn(&ledger{})
		return
	}
	l := c.last
	l.claims = append([]claimed(nil), l.claims...)
	fn(&l)
	c.late.files += l.files - c.last.files
	c.late.bytes += l.bytes - c.last.bytes
	c.late.limits += l.limits - c.last.limits
	c.publish(&l)
}

// read only looks.
func (c *counter) read() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off || c.lock() != nil {
		return
	}
	defer c.unlock()
	l := c.load()
	c.publish(&l)
}

// load reads the ledger under the lock and brings it up to date with what is
// ours. One that cannot be read is begun anew.
func (c *counter) load() ledger {
	l, ok := c.readFile()
	if !ok {
		l = ledger{limits: 1 + rand.Int64N(1<<40)} // whoever follows the limit looks at it anew
	}
	if l.claimOf(c.id) != c.noted {
		c.rise()
	}
	l.put(c.mine)
	c.last = l // what is late is late still, should this not be stored
	if c.late.files != 0 || c.late.bytes != 0 {
		l.add(c.late.files, c.late.bytes)
	}
	l.limits += c.late.limits
	if c.buried {
		l.counted = 0 // what we have reserved was taken for files, and counts twice
	}
	return l
}

// rise makes the file anew that shows that this Dir is in use, if somebody has
// removed it. It needs the lock of the count.
func (c *counter) rise() {
	if c.alive == nil || !unlinked(c.alive) {
		return
	}
	_ = c.alive.Close() // nothing was written
	c.alive = nil
	c.showAlive()
	c.buried = true
}

func (c *counter) readFile() (ledger, bool) {
	if c.size == 0 {
		c.size = 4096
	}
	c.buf = slices.Grow(c.buf[:0], c.size)
	b := c.buf[:c.size]
	n, err := c.file.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return ledger{}, false
	}
	size := ledgerSize(b[:n])
	if size > n && n == len(b) {
		c.size = size
		return c.readFile()
	}
	c.size = size // to read more takes a second call, which finds the end
	return decodeLedger(b[:n])
}

// store writes the ledger, with more reserved ahead. A kill does not tear a write
// of its size; a power loss may, and the CRC tells.
func (c *counter) store(l *ledger, ahead int64) error {
	noted := c.mine
	if noted.reserved > noted.waiting { // something is getting on
		noted.reserved += ahead
	}
	l.put(noted)
	c.buf = l.encode(c.buf[:0])
	c.size = len(c.buf)
	l.put(c.mine)
	_, err := c.file.WriteAt(c.buf, 0)
	if err == nil {
		c.late.files, c.late.bytes, c.late.limits, c.buried, c.owed = 0, 0, 0, false, false
		c.last, c.noted, c.quickly = *l, noted, 0
	}
	return err
}

// quickTime is for how long changes may be made that are not noted.
const quickTime = 50 * time.Millisecond

// burst is how many changes there have to be, each within quickTime of the one before,
// for one that leaves nothing under way to be one of them: the next is about to come.
// Others are noted at once.
const burst = 32

// quick makes a change that what stands in the file allows already, as enough was
// reserved ahead: what has landed stays reserved there until it is noted with
// others. Nobody counts too little meanwhile, and should this process die, what it
// has reserved is taken for files. It needs mu.
func (c *counter) quick(ch Change) bool {
	mine := c.mine
	mine.reserved += ch.Reserved
	switch {
	case c.off, ch.Huge != 0, ch.Waiting != 0, ch.Files < 0, ch.Bytes < 0, c.late.bytes < 0, mine.reserved < 0,
		ch.Bytes+ch.Reserved < 0, // others may wait for what is given back
		mine.waiting > 0,         // others go by how much is getting on
		mine.reserved == 0 && c.run < burst,
		sum(mine.reserved, c.late.bytes, ch.Bytes) > c.noted.reserved,
		ch.Limit > 0 && sum(c.last.bytes, c.last.reserved(), ch.Bytes, ch.Reserved) > ch.Limit:
		return false
	}
	if c.quickly == 0 {
		c.settleSoon()
	}
	c.quickly++
	c.mine = mine
	c.late.files += ch.Files
	c.late.bytes += ch.Bytes
	c.last.put(mine)
	c.add(&c.last, ch.Files, ch.Bytes)
	c.publish(&c.last)
	return true
}

// pace notes that one more change has come. It needs mu.
func (c *counter) pace() {
	now := time.Now()
	if now.Sub(c.came) > quickTime {
		c.run = 0
	}
	c.run++
	c.came = now
}

// settleSoon has what quick does noted before long. It needs mu.
func (c *counter) settleSoon() {
	if c.settle == nil {
		c.settle = time.AfterFunc(quickTime, func() {
			c.update(func(*ledger) bool { return c.quickly > 0 }) // and what is owed
		})
		return
	}
	c.settle.Reset(quickTime)
}

// publish makes the ledger what was seen last.
func (c *counter) publish(l *ledger) {
	c.last = *l
	u := l.usage()
	u.Mine, u.MyHuge, u.Others = c.mine.reserved+c.mine.huge, c.mine.huge, l.added-c.added
	c.seen.Lock()
	defer c.seen.Unlock()
	c.latest = u
}

// add counts files for this Dir.
func (c *counter) add(l *ledger, files, bytes int64) {
	l.add(files, bytes)
	c.added += max(bytes, 0)
}

// setClaim notes what this Dir has reserved. From its first reservation on it
// shows that it is alive.
func (c *counter) setClaim(l *ledger, mine claimed) {
	mine.reserved, mine.huge, mine.waiting = max(mine.reserved, 0), max(mine.huge, 0), max(mine.waiting, 0)
	if c.alive == nil && (mine.reserved > 0 || mine.huge > 0) {
		c.showAlive()
	}
	c.mine = mine
	l.put(mine)
}

// lock opens the file and locks it.
func (c *counter) lock() error {
	for range maxCreateTries {
		if c.file == nil {
			if err := c.open(); err != nil {
				return err
			}
		}
		if err := c.await(); err != nil {
			return err
		}
		if now := time.Now(); now.Sub(c.checked) < checkEvery {
			return nil
		} else if !unlinked(c.file) {
			c.checked = now
			return nil
		}
		c.checked = time.Time{}
		_ = c.file.Close() // somebody removed it: the count is begun anew in another one
		c.file = nil
	}
	return errLost
}

func (c *counter) open() error {
	if fi, err := Lstat(c.fsys, usageFile); err == nil && !fi.Mode().IsRegular() {
		c.off = true // a link or a pipe: not to be opened
		return errNotRegular
	}
	f, err := c.fsys.OpenFile(usageFile, os.O_RDWR|os.O_CREATE|nonblock, 0o666)
	if errors.Is(err, os.ErrPermission) {
		f, err = c.fsys.OpenFile(usageFile, os.O_RDONLY|nonblock, 0) // to look at, in another user's cache
	}
	if err != nil {
		c.off = errors.Is(err, os.ErrPermission)
		return err
	}
	c.file = f
	return nil
}

var errLockHeld = errors.New("somebody holds the lock of the count and does not go on")

// await takes the lock, which somebody may have for a moment. As long as others get
// it, and change the count, nobody is stuck.
func (c *counter) await() error {
	seen, rounds := int64(-1), 0
	for try := 0; ; try++ {
		locked, err := tryLock(c.file)
		switch {
		case err != nil:
			c.off = errors.Is(err, errNoLocks)
			return err
		case locked:
			c.frozen = time.Time{}
			return nil
		case try < 10:
			runtime.Gosched()
			continue
		case time.Now().Before(c.frozen):
			return errLockHeld
		case try == 10 || try > lockTries:
			l, _ := c.readFile() // of what is just being written, whatever it says
			if try > lockTries && (l.changes == seen || rounds == lockRounds) {
				c.frozen = time.Now().Add(frozenTime)
				return errLockHeld
			}
			if try > lockTries {
				try, rounds = 10, rounds+1
			}
			seen = l.changes
		}
		time.Sleep(min(20*time.Microsecond<<min(try-10, 6), time.Millisecond))
	}
}

func (c *counter) unlock() { _ = unlockFile(c.file) }

// showAlive makes the file that is locked as long as this Dir is in use. Where it
// cannot be made, the next sweep takes what is reserved for files.
func (c *counter) showAlive() {
	name := c.aliveName(c.id)
	f, err := c.fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrNotExist) && makeFolder(c.fsys, aliveDir) == nil {
		f, err = c.fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	}
	if err != nil {
		return
	}
	if ok, err := tryLock(f); !ok || err != nil {
		_ = f.Close() // nothing was written
		return
	}
	c.alive = f
}

func (c *counter) aliveName(id uint64) string { return path.Join(aliveDir, strconv.FormatUint(id, 16)) }

// isUsed reports whether there is something to be noted at the end.
func (c *counter) isUsed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.off && (c.alive != nil || c.late.files != 0 || c.late.bytes != 0 || c.late.limits != 0)
}

// close ends this Dir's part in the count.
func (c *counter) close() error {
	if c == nil {
		return nil
	}
	if c.isUsed() {
		c.change(func(l *ledger) { c.setClaim(l, claimed{id: c.id}) })
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = true
	if c.settle != nil {
		c.settle.Stop()
	}
	var errs []error
	if c.alive != nil {
		if runtime.GOOS == "windows" { // which does not remove what is open
			errs = append(errs, c.alive.Close(), ignoreNotExist(Remove(c.fsys, c.aliveName(c.id))))
		} else {
			errs = append(errs, ignoreNotExist(Remove(c.fsys, c.aliveName(c.id))), c.alive.Close())
		}
	}
	if c.file != nil {
		errs = append(errs, c.file.Close())
	}
	c.file, c.alive = nil, nil
	return errors.Join(errs...)
}

// begin notes that there is nothing yet.
func (c *counter) begin(now time.Time) {
	c.change(func(l *ledger) {
		if !l.known() {
			l.files, l.bytes, l.counted = 0, 0, now.UnixNano()
		}
	})
}
