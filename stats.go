package dlmanager

import (
	"fmt"
	"time"

	"github.com/dlmanager/dlmanager/fs"
)

// Stats is what a manager's directory holds, and how its limit is kept.
type Stats struct {
	// LimitUsage is what counts against the manager's limit. Where Shared, its
	// figures are those of all processes at work in the directory; Bytes counts
	// what is left of unfinished downloads, too.
	LimitUsage
	Shared bool // all processes count together; false: what this manager knows
	// DirectoryLimit is the directory's own limit in bytes, 0 if it has none.
	// Limit is another one if the manager was given its own.
	DirectoryLimit int64
	// Counted is when the files were last counted one by one; the zero time where
	// they are not counted together.
	Counted time.Time
	// LastEviction is when any process evicted a file last, the zero time if none
	// has, and VictimAge how long that had not been used: what is younger finds
	// its place.
	LastEviction time.Time
	VictimAge    time.Duration
}

// byDirectory says how the directory's own limit is kept.
func (s *Stats) byDirectory(u fs.Usage) {
	if u.Known {
		s.Files, s.Bytes, s.Reserved = int(u.Files), u.Bytes, u.Reserved+u.Huge
	}
	if s.DirectoryLimit <= 0 {
		return
	}
	s.Limit = s.DirectoryLimit
	if s.Over = max(0, s.Bytes+s.Reserved-s.Limit); s.Over > 0 {
		e := u.Excess
		s.Leased, s.Grace, s.Newest, s.Failed = e.Leased, e.Grace, e.Newest, e.Failed
		s.Why = s.reasons()
	}
}

// Stats returns how the directory stands now. A manager that evicts nothing says
// how the directory's own limit is kept, as others last found it. It costs one small read, and a look
// at each known file while the limit is exceeded, to say why.
func (m *DownloadManager) Stats() Stats {
	usage := m.limit.Usage()
	u := m.dir.LastUsage()
	if !m.limit.enabled() {
		u = m.dir.Usage() // nobody has read it for the limit's sake
	}
	s := Stats{LimitUsage: usage, Shared: u.Known, DirectoryLimit: m.dir.SizeLimit(), Counted: u.Counted}
	if !m.limit.enabled() {
		s.byDirectory(u)
	}
	if !u.Victim.At.IsZero() {
		s.LastEviction = u.Victim.At
		s.VictimAge = max(0, u.Victim.At.Sub(u.Victim.LastUse))
	}
	return s
}

// SetSizeLimit changes the directory's own limit to so many bytes, 0 or less: none.
// It holds for all who open the directory later and set none of their own, and
// for managers that run, in any process, from their next reservation on. This
// manager, if it follows the directory's limit, evicts in the background or when
// it is closed. A directory that is not a cache is refused with ErrNotCacheDir.
func (m *DownloadManager) SetSizeLimit(bytes int64) error {
	m.mu.Lock()
	closed := m.closed
	m.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if err := m.dir.SetSizeLimit(bytes); err != nil {
		return fmt.Errorf("set the size limit of %s: %w", m.dir.Root(), err)
	}
	if m.follows {
		m.limit.setLimit(bytes)
		m.house.added.Store(true)
		m.limit.nudge()
	}
	return nil
}
