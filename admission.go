package dlmanager

import (
	"context"
	"errors"
	"net/url"
	"os"
	"time"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/transfer"
)

// The manager is the site of its downloads.
var _ site = (*DownloadManager)(nil)

// look returns the file that the download is of, if it is there. It is nil when
// it has to be fetched.
func (m *DownloadManager) look(d *Download) (*fs.Info, error) {
	if d.cfg.force || d.stale {
		return nil, nil
	}
	return m.lookAnew(d)
}

// lookAnew is look for one who does not insist on fetching it, and whose origin may have
// been asked about the file by somebody else meanwhile.
func (m *DownloadManager) lookAnew(d *Download) (*fs.Info, error) {
	info, there, err := m.find(d)
	if d.absent {
		m.limit.forget(m.shelf, d.name) // somebody else removed it
	}
	if !there {
		return nil, err
	}
	found := info // what is not there takes no memory
	if err := m.use(d, info); err != nil || !d.asking {
		return &found, err
	}
	if entry, known := m.dir.Entry(d.name, info); d.suspect || m.outdated(d, entry, known) {
		return nil, nil
	}
	return &found, nil
}

// find looks whether the file is there that the download is of.
func (m *DownloadManager) find(d *Download) (info fs.Info, there bool, err error) {
	info, err = m.dir.Stat(d.name)
	d.absent = errors.Is(err, os.ErrNotExist)
	if d.absent {
		return info, false, nil
	}
	if err != nil {
		return info, false, err
	}
	if other, differs := m.dir.Spelling(d.name); differs {
		return info, false, &NameTakenError{Name: d.name, By: other, twin: true}
	}
	if d.derived {
		if same, err := m.isOf(d, info); err != nil || !same {
			return info, false, err
		}
	}
	condition := m.dir.Condition(d.name, info)
	if condition == fs.Damaged {
		d.cfg.logger.Warn("the file that is there is not what was fetched", "name", d.name)
		return info, false, nil
	}
	d.suspect = condition == fs.Suspect
	return info, true, nil
}

// use records the use of the file that the download found.
func (m *DownloadManager) use(d *Download, info fs.Info) error {
	m.noteUse(d.name, info)
	return m.permit(d, info)
}

// permit makes the file executable if the download is to bring one that is.
func (m *DownloadManager) permit(d *Download, info fs.Info) error {
	if d.cfg.mode&0o111 != 0 {
		return m.dir.MakeExecutable(d.name, info)
	}
	return nil
}

// isOf reports whether the file that has the derived name is that of the
// download's URL. Of a file in a cache that nothing is known of, nobody can tell:
// it is fetched anew. In a directory that is not ours it is left alone.
func (m *DownloadManager) isOf(d *Download, info fs.Info) (bool, error) {
	entry, known := m.dir.Lookup(d.name)
	known = known && entry.Size == info.Size // it may have been touched
	switch {
	case known && entry.Identity == identity(d.url):
		return true, nil
	case known || !m.dir.Marked():
		return false, &NameTakenError{Name: d.name, By: d.name}
	}
	return false, nil
}

// pending is what a manager's download has to wait for before it may begin, and who
// waits for it. The manager's mutex guards it.
type pending struct {
	key     string        // under which it is in flight; "": it never was
	earlier *Download     // of the same name, stopped, and not out of its way yet; nil: none
	out     chan struct{} // closed when earlier is
	ticket  *ticket       // its place in the queue; nil before it has one
	left    chan struct{} // closed when this one is out of the way; nil: nobody waits for it
	gone    bool          // this one is
}

// waitFor returns what a download has to wait for that follows earlier. It
// needs mu.
func (m *DownloadManager) waitFor(earlier *Download) pending {
	if earlier.pending.left == nil {
		earlier.pending.left = make(chan struct{})
	}
	return pending{earlier: earlier, out: earlier.pending.left}
}

func (m *DownloadManager) pendingOf(d *Download) pending {
	m.mu.Lock()
	defer m.mu.Unlock()
	return d.pending
}

// enqueue gives the download its place in the queue.
func (m *DownloadManager) enqueue(d *Download) *ticket {
	t := m.queue.enter(hostKey(d.source()), d.cfg.priority)
	m.setTicket(d, t)
	return t
}

// holdOff keeps all downloads of a host waiting, on its own word.
func (m *DownloadManager) holdOff(answered string, until time.Time) {
	u, err := url.Parse(answered)
	if err != nil {
		return // then nobody asks it, either
	}
	host := hostKey(u)
	m.cfg.defaults.logger.Warn("host asks to be left alone: its downloads wait", "host", host, "until", until)
	m.queue.holdOff(host, until)
}

func (m *DownloadManager) setTicket(d *Download, t *ticket) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d.pending.ticket = t
}

func (m *DownloadManager) admit(ctx context.Context, d *Download) (func(), *fs.Info, error) {
	p := m.pendingOf(d)
	if p.earlier != nil {
		select {
		case <-p.out:
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
	looked := p.ticket != nil && !d.unsettled // when the download was asked for, and there was nothing
	if d.unseen && d.wantsSums() {
		looked = false // which are fetched before the file is looked for again
	}
	if p.ticket == nil {
		p.ticket = m.enqueue(d)
	}
	waited, err := p.ticket.wait(ctx)
	if err != nil {
		return nil, nil, err
	}
	info, err := m.lookAgain(ctx, d, waited || !looked)
	if info != nil || err != nil {
		p.ticket.leave()
		m.setTicket(d, nil)
		return nil, info, err
	}
	return m.hold(d, p.ticket), nil, nil
}

// lookAgain looks for what may have changed while the download waited, another
// process may have fetched the file, and for names that are too much alike.
func (m *DownloadManager) lookAgain(ctx context.Context, d *Download, waited bool) (*fs.Info, error) {
	if waited {
		if info, err := m.look(d); info != nil || err != nil {
			return info, err
		}
	}
	return m.orThere(d, m.refuseTwin(ctx, d))
}

// orThere returns the file that is there in place of what keeps it from being fetched,
// if nobody has looked for it before.
func (m *DownloadManager) orThere(d *Download, err error) (*fs.Info, error) {
	if err == nil || !d.unseen {
		return nil, err
	}
	if info, _ := m.look(d); info != nil {
		return info, nil
	}
	d.unseen = false
	return nil, err
}

// hold keeps the file that the download replaces from being evicted, and
// returns what ends that and gives back the place in the queue.
func (m *DownloadManager) hold(d *Download, t *ticket) (release func()) {
	dir := m.limit.beginHold(m.shelf, d.name)
	return func() {
		m.limit.unhold(dir, d.name)
		t.leave()
		m.setTicket(d, nil) // to begin again, it has to queue again
	}
}

// refuseTwin fails when a file is there whose name some file systems take for
// the download's: one of the two would get the other's content.
func (m *DownloadManager) refuseTwin(ctx context.Context, d *Download) error {
	twin, found, err := m.dir.Twin(ctx, d.name)
	if err != nil {
		return err
	}
	if found {
		return &NameTakenError{Name: d.name, By: twin, twin: true}
	}
	return nil
}

func (m *DownloadManager) create(ctx context.Context, d *Download, c claim) (*fs.Partial, *fs.Info, error) {
	partial, err := m.createPartial(ctx, d, c)
	if err != nil {
		info, err := m.orThere(d, err)
		return nil, info, err
	}
	m.taken(d, partial)
	// Under the lock nobody else is fetching it: either the file is there, or it
	// has to be fetched here.
	d.absent = false
	info, err := m.lookUnderLock(d, c)
	if info == nil && err == nil {
		if d.absent && !c.apart { // else who has the other one may land first
			partial.IsNew()
		}
		return partial, nil, nil
	}
	defer m.dropClaim(d)
	if err == nil && !(d.unseen && partial.Adopted()) {
		return nil, info, partial.Cancel()
	}
	// What an earlier download left may be of the version that is going to replace the
	// file, and goes no sooner than had the file been looked for first.
	err = errors.Join(err, partial.Keep())
	m.left(d)
	if err != nil {
		return nil, nil, err
	}
	return nil, info, nil
}

func (m *DownloadManager) createPartial(ctx context.Context, d *Download, c claim) (*fs.Partial, error) {
	spot, err := m.spot(d)
	if err != nil {
		return nil, err
	}
	partial, err := c.create(spot, d.cfg.mode)
	if errors.Is(err, fs.ErrHeld) && !m.house.isTidied() { // it may be us who look at it
		if err := m.house.awaitTidied(ctx); err != nil {
			return nil, err
		}
		return c.create(spot, d.cfg.mode)
	}
	return partial, err
}

func (m *DownloadManager) lookUnderLock(d *Download, c claim) (*fs.Info, error) {
	joins := c.awaited && changed(c.before, m.present(d))
	if d.stale && !joins || d.cfg.force && !(joins && c.same) {
		return nil, nil
	}
	return m.lookAnew(d)
}

func (m *DownloadManager) connect(d *Download) (release func(), ok bool) {
	return m.queue.connect(hostKey(d.source()))
}

func (m *DownloadManager) crowded(d *Download) int {
	return m.queue.crowded(hostKey(d.source()))
}

func (m *DownloadManager) spot(d *Download) (fs.Spot, error) { return m.dir.Spot(d.name) }

func (m *DownloadManager) present(d *Download) *fs.Info {
	info, err := m.dir.Stat(d.name)
	if err != nil {
		return nil
	}
	return &info
}

func (m *DownloadManager) left(d *Download) {
	if l := m.dir.Leftover(d.name); l.Size > 0 {
		m.dir.Count(fs.Change{Bytes: l.Size})
		m.limit.addSpare(m.shelf, l)
	}
}

// taken is the opposite of left: what the partial file needs counts as reserved
// from now on.
func (m *DownloadManager) taken(d *Download, partial *fs.Partial) {
	m.limit.forget(m.shelf, partial.Name())
	if !partial.Adopted() {
		return
	}
	if size, _, err := partial.Stat(); err == nil && size > 0 {
		m.dir.Count(fs.Change{Bytes: -size, Reserved: size})
		d.counted = size
	}
}

// dropClaim takes off what counts as reserved of a partial file without a room.
func (m *DownloadManager) dropClaim(d *Download) {
	if d.counted > 0 {
		m.dir.Count(fs.Change{Reserved: -d.counted})
		d.counted = 0
	}
}

func (m *DownloadManager) reserve(ctx context.Context, d *Download, n int64) (*room, error) {
	if err := m.house.awaitReady(ctx); err != nil {
		return nil, err
	}
	counted := d.counted
	d.counted = 0 // it is the room's now
	return m.limit.reserveFrom(ctx, m.shelf, n, counted)
}

func (m *DownloadManager) seal(d *Download, p *fs.Partial, size int64, written time.Time) (time.Time, error) {
	if d.cfg.sync == SyncNone {
		if err := m.dir.NoteUnsynced(); err != nil {
			return time.Time{}, err
		}
	}
	return p.Seal(m.dir, d.cfg.sync, size, written)
}

func (m *DownloadManager) freeDisk(ctx context.Context, d *Download, n int64) bool {
	freed, err := m.limit.free(ctx, n)
	if freed > 0 {
		d.cfg.logger.Warn("the disk is full: old files were removed", "name", d.name, "bytes", freed)
	}
	return err == nil && freed > 0
}

func (m *DownloadManager) landing(d *Download, l landing) {
	url := l.result.Source
	if d.source() != d.url {
		url = transfer.Redact(d.url)
	}
	err := m.dir.Record(fs.Entry{
		Name: d.name, Identity: identity(d.url), URL: url,
		Size: l.result.Bytes, ModTime: l.modTime, Fetched: time.Now(), CRC32C: l.result.CRC32C,
		ETag: l.result.ETag, LastModified: l.result.LastModified,
		Digests: l.digests, CheckedBy: l.checkedBy, Unproven: !l.result.Verified,
		Unsynced: m.dir.State(d.cfg.sync), From: l.from,
	})
	if err != nil {
		d.cfg.logger.Warn("file is not remembered", "name", d.name, "error", err)
	}
}

func (m *DownloadManager) landed(d *Download, l landing) {
	m.house.added.Store(true)
	before := int64(-1)
	if l.replaced != nil {
		before = l.replaced.Size
	}
	l.room.land(d.name, l.result.Bytes, l.written, before)
}

func (m *DownloadManager) entry(d *Download, there *fs.Info) (fs.Entry, bool) {
	return m.dir.Entry(d.name, *there)
}

func (m *DownloadManager) record(d *Download, e fs.Entry) {
	if err := m.dir.Record(e); err != nil {
		d.cfg.logger.Warn("what is known of the file is not remembered", "name", d.name, "error", err)
	}
}

func (m *DownloadManager) open(ctx context.Context, d *Download) (afero.File, error) {
	f, _, err := m.dir.Lease(ctx, d.name)
	return f, err
}

func (m *DownloadManager) leave(d *Download) {
	m.dropClaim(d)
	m.mu.Lock()
	p := d.pending
	d.pending = pending{gone: true} // the earlier one is not kept
	delete(m.callers, d)
	if m.inFlight[p.key] == d {
		delete(m.inFlight, p.key)
		if p.earlier != nil && !p.earlier.pending.gone {
			m.inFlight[p.key] = p.earlier // it gave up before that one was out of the way
		}
	}
	if p.left != nil {
		close(p.left)
	}
	m.failures.add(d.Err())
	m.mu.Unlock()
	if p.ticket != nil {
		p.ticket.leave() // it failed before it was admitted
	}
}

func (m *DownloadManager) gone(d *Download) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.alive, d)
	d.close() // under mu: a download that Wait does not find alive is done
}
