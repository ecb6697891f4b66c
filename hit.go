package dlmanager

import (
	"time"

	"github.com/dlmanager/dlmanager/fs"
)

// findAtOnce finishes the download if its file is there and nobody has to be asked or
// told about it: that is what a warm cache is asked most. Nobody else comes to know such
// a download, so it is not in flight in between, which takes as long as the look does.
// So the file may come and go meanwhile, and the accounts are told nothing but its use;
// that a file is gone they learn from who is about to fetch it. If it has looked, and
// there was nothing, that counts.
func (m *DownloadManager) findAtOnce(d *Download, name string) (found, looked bool) {
	if !d.asksNobody() || name == "" || CheckURL(d.raw) != nil {
		return false, false
	}
	if _, err := fs.CleanName(name); err != nil {
		return false, false // who starts it says so
	}
	if !m.beginLook(name) {
		return false, false
	}
	defer m.leasing.Done()
	d.name, d.dest = name, m.dir.Path(name)
	info, there, err := m.find(d)
	if !there || err != nil || d.suspect {
		return false, !there && err == nil && !d.cfg.offline
	}
	now := time.Now()
	if !m.limit.noteUse(m.shelf, name, info.Size, now) || m.permit(d, info) != nil {
		return false, false // who starts it looks again, in flight
	}
	m.dir.Touch(name, info, now)
	d.measure(info)
	d.state, d.over, d.closed = StateDone, true, true
	d.logOutcome(d.outcome(), nil) // nobody else knows d
	return true, false
}

// asksNobody reports whether it is enough that the file is there: no origin, checksum or
// lock file has to be asked, no function told, and nothing checked that may be wrong.
func (d *Download) asksNobody() bool {
	c := d.cfg
	return !d.unseen && !c.fsGiven && !c.force && !c.fresh.bounded && c.landed == nil &&
		c.checksum == "" && !c.sha256 && c.lock == nil &&
		len(c.mirrors) == 0 && len(c.rewrites) == 0 && len(c.hostHeaders) == 0 &&
		c.progress == nil && c.hooks.Started == nil && c.hooks.Finished == nil
}

// beginLook makes Close wait until leasing is done. It does nothing if something of the
// name is in flight, or the manager is closed.
func (m *DownloadManager) beginLook(name string) (begun bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || len(m.inFlight) > 0 && m.inFlight[fs.Fold(name)] != nil {
		return false
	}
	m.leasing.Add(1)
	return true
}
