package dlmanager

import (
	"context"
	"slices"
	"time"

	"github.com/dlmanager/dlmanager/fs"
)

// Reason says what keeps a limit exceeded.
type Reason string

// The reasons, each with the field of [LimitUsage] that says how much it is.
const (
	ReasonReserved  Reason = "reserved"  // running downloads
	ReasonLeased    Reason = "leased"    // files in use
	ReasonGrace     Reason = "grace"     // files used a moment ago
	ReasonFileLimit Reason = "fileLimit" // the newest files
	ReasonFailed    Reason = "failed"    // files that could not be removed
)

// usage is what counts, without what keeps the limit exceeded.
func (p *PersistLimit) usage() LimitUsage {
	u := LimitUsage{Files: p.files, Bytes: p.bytes.all, Reserved: p.reserved.all}
	for _, d := range p.common {
		all, known := d.reading()
		if !known {
			continue
		}
		u.Files += int(all.Files) - d.finished()
		u.Bytes += all.Bytes - d.bytes.all
		u.Reserved += all.Reserved + all.Huge - d.reserved.all // what waits for room has none yet
	}
	if p.on && p.limit != noLimit {
		u.Limit = p.limit
		u.Over = max(0, u.Bytes+u.Reserved-u.Limit)
	}
	return u
}

// finished returns how many finished files are registered.
func (d *limitDir) finished() (n int) { return d.files.len() - d.spares }

// explained is usage with the reasons, which take a look at every file.
func (p *PersistLimit) explained() LimitUsage {
	u := p.usage()
	if u.Over == 0 {
		return u
	}
	e := p.excess()
	for _, d := range p.common {
		if all, ok := d.reading(); ok && !d.listing.done { // others have looked
			e.Leased += all.Excess.Leased
			e.Grace += all.Excess.Grace
			e.Newest += all.Excess.Newest
			e.Failed += all.Excess.Failed
		}
	}
	u.Leased, u.Grace, u.Newest, u.Failed = e.Leased, e.Grace, e.Newest, e.Failed
	u.Why = u.reasons()
	return u
}

// reasons returns what there is of each reason, the one with the most bytes first.
func (u LimitUsage) reasons() []Reason {
	bytes := map[Reason]int64{
		ReasonReserved: u.Reserved, ReasonLeased: u.Leased, ReasonGrace: u.Grace,
		ReasonFileLimit: u.Newest, ReasonFailed: u.Failed,
	}
	var why []Reason
	for _, r := range []Reason{ReasonReserved, ReasonLeased, ReasonGrace, ReasonFileLimit, ReasonFailed} {
		if bytes[r] > 0 {
			why = append(why, r)
		}
	}
	slices.SortStableFunc(why, func(a, b Reason) int { return int(min(max(bytes[b]-bytes[a], -1), 1)) })
	return why
}

// excess returns by what the registered files are protected.
func (p *PersistLimit) excess() (e fs.Excess) {
	now := nanos(p.cfg.now())
	for _, slots := range [][]useSlot{p.rank.newest.slots, p.rank.latest.slots} {
		for _, s := range slots {
			f := s.file
			switch {
			case f.leased, f.held:
				e.Leased += f.size
			case f.failed:
				e.Failed += f.size
			case f.newest:
				e.Newest += f.size
			case p.inGrace(f, now):
				e.Grace += f.size
			}
		}
	}
	return e
}

// inGrace reports whether f was used so lately that it stays. The heaps are
// ordered, so if their first file is in grace, the others are, or they lie in
// the future. Such a time is no reason to keep a file for ever.
func (p *PersistLimit) inGrace(f *limitFile, now int64) bool {
	age, grace := time.Duration(now-f.used), p.cfg.grace
	return -grace < age && age < grace
}

// tellExceeded tells the shelves that the limit is exceeded, once for each time
// that it comes to be.
func (p *PersistLimit) tellExceeded() {
	p.mu.Lock()
	usage, telling := p.noteExceeded()
	p.mu.Unlock()
	tell(usage, telling)
}

func tell(usage LimitUsage, telling []shelf) {
	for _, s := range telling {
		if c, ok := s.(commonShelf); ok {
			c.noteExcess(fs.Excess{Leased: usage.Leased, Grace: usage.Grace, Newest: usage.Newest, Failed: usage.Failed})
		}
		s.exceeded(usage)
	}
}

// noteExceeded returns who is to be told, and what. It needs p.mu.
func (p *PersistLimit) noteExceeded() (usage LimitUsage, telling []shelf) {
	if p.told || p.usage().Over == 0 {
		return usage, nil
	}
	p.told = true
	for s, d := range p.dirs {
		if s != p.plain || d.files.len() > 0 {
			telling = append(telling, s)
		}
	}
	return p.explained(), telling
}

// free evicts until so many bytes were freed, also what was used within the grace
// time: the disk is full. It returns how many were.
func (p *PersistLimit) free(ctx context.Context, bytes int64) (int64, error) {
	e, err := p.evict(ctx, passMode{short: bytes, noGrace: true, retryFailed: true})
	p.warn(e)
	var freed int64
	if e != nil {
		freed = e.freed
	}
	return freed, err
}
