package fs

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

// A finished file carries a seal: the fraction of a second in its modification
// time is a hash of its size and of what was flushed. A file that was written to
// since, or cut by a power loss, has another time or another size, so that a hit
// sees by its stat alone that the file is as it landed, and looks at what is
// remembered of it only where the seal does not hold. One time in ten million
// another time looks like a seal. The seconds stay those of the last write.

// sealUnit is the finest step that all file systems with fractions keep (NTFS).
const sealUnit = 100 * time.Nanosecond

// flushed is the state of a file that was flushed to the disk. Others are the
// name of the time since the machine was started during which they were written.
const flushed = ""

// unknownBoot is the state of a file that was not flushed where nobody can tell
// whether the machine has been started since. No seal of it holds.
const unknownBoot = "?"

// seal returns the fraction of a second for a file of size bytes. It is never 0:
// that is what file systems without fractions, and touch(1) with a date, say.
func seal(size int64, state string) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, uint64(size))) // never fails (hash.Hash)
	_, _ = h.Write([]byte(state))
	steps := uint64(time.Second/sealUnit) - 1
	return time.Duration(h.Sum64()%steps+1) * sealUnit
}

// sealed returns the latest time up to t that carries the seal.
func sealed(t time.Time, size int64, state string) time.Time {
	at := time.Unix(t.Unix(), int64(seal(size, state)))
	if at.After(t) { // a file from the future would confuse make(1)
		at = at.Add(-time.Second)
	}
	return at
}

// holds reports whether the seal says that the file is what landed, and that no
// power loss can have damaged it: it was flushed, or the machine has not been
// started since.
func (d *Dir) holds(info Info) bool {
	fraction := time.Duration(info.ModTime.Nanosecond())
	return fraction == seal(info.Size, flushed) ||
		d.boot != "" && fraction == seal(info.Size, d.boot)
}

// Seal puts the seal on the file, which is whole and whose Stat is size and
// written, and returns its modification time. A file system that cannot leaves it
// without.
func (p *Partial) Seal(d *Dir, mode SyncMode, size int64, written time.Time) (time.Time, error) {
	at := sealed(written, size, d.State(mode))
	done, err := setOpenTimes(p.file, written, at)
	if !done {
		err = p.fsys.Chtimes(p.temp, written, at)
	}
	if err != nil {
		return written, nil
	}
	if d.fineTimes.Load() {
		return at, nil
	}
	_, kept, err := p.Stat()
	d.fineTimes.Store(err == nil && kept.Equal(at))
	return kept, err
}

// State is what is remembered of a file that lands now.
func (d *Dir) State(mode SyncMode) string {
	switch {
	case mode != SyncNone:
		return flushed
	case d.boot == "":
		return unknownBoot
	}
	return d.boot
}

// reseal puts the seal on a finished file that is known to be whole and flushed,
// and remembers its new time. It returns what is remembered then. Who may not, or
// cannot, is not told.
func (d *Dir) reseal(e Entry, info Info) Entry {
	if !d.IsStill(e.Name, info) {
		return e
	}
	at, use := info.ModTime, info.accessed
	if use.IsZero() {
		use = at
	}
	if d.fsys.Chtimes(e.Name, use, sealed(at, info.Size, flushed)) == nil {
		if now, err := d.Stat(e.Name); err == nil && now.Size == info.Size {
			at = now.ModTime
		}
	}
	if e.Unsynced == flushed && e.ModTime.Equal(at) {
		return e // it is remembered so
	}
	e.ModTime, e.Unsynced = at, flushed
	_ = d.Record(e) // a hint: it is looked at again
	return e
}
