package fs

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
)

// Condition is what can be told of a finished file without reading it.
type Condition int

const (
	// Intact is a file that is as it landed, or one that nothing is known of.
	Intact Condition = iota
	// Suspect is a file that has to be read before it counts: somebody wrote to
	// it or set its time, or a power loss may have damaged it.
	Suspect
	// Damaged is a file that is not what landed.
	Damaged
)

// Condition returns that of the file called name, whose Stat is info. For a file
// with a whole seal it costs nothing.
func (d *Dir) Condition(name string, info Info) Condition {
	if d.holds(info) {
		return Intact
	}
	e, known := d.Lookup(name)
	switch {
	case !known && d.mayBeUnsynced(), known && e.Size != info.Size:
		return Damaged
	case !known:
		return Intact
	case e.isOutlived(d.boot):
		return Suspect
	case e.ModTime.Equal(info.ModTime):
		if info.ModTime.Nanosecond() != 0 { // else this file system may keep no seal
			d.reseal(e, info) // it landed before there were seals
		}
		return Intact
	case e.IsOf(info):
		return Intact
	}
	return Suspect
}

// IsOf reports whether the file that is there is that of the entry, as far as its
// stat tells. Where a file has no access time, its only time says when it was used.
func (e Entry) IsOf(info Info) bool {
	return e.describes(info) || info.accessed.IsZero() && e.Size == info.Size
}

// isOutlived reports whether the file was not flushed before the machine was
// started, as far as that is known.
func (e Entry) isOutlived(boot string) bool {
	return e.Unsynced != flushed && (boot == "" || e.Unsynced != boot)
}

// Settle is told that a Suspect file of the entry was read and is whole. From now
// on it is Intact. It returns what is remembered of the file then.
func (d *Dir) Settle(e Entry, info Info) Entry {
	if e.Unsynced != flushed && d.flush(e.Name) != nil {
		return e // and is looked at again
	}
	e = d.reseal(e, info)
	e.Unsynced = flushed
	return e
}

// flush sees to it that a file that was read is on the disk, too.
func (d *Dir) flush(name string) error {
	f, err := d.fsys.OpenFile(name, flushMode, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC returns the CRC-32C and the size of a finished file, as it is now.
func CRC(ctx context.Context, f io.Reader) (sum uint32, size int64, err error) {
	buf := make([]byte, 256<<10)
	for {
		if ctx.Err() != nil {
			return 0, 0, context.Cause(ctx)
		}
		n, err := f.Read(buf)
		sum, size = crc32.Update(sum, castagnoli, buf[:n]), size+int64(n)
		if err == io.EOF {
			return sum, size, nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

// IsStill reports whether the file called name is still the one that info describes.
func (d *Dir) IsStill(name string, info Info) bool {
	now, err := d.Stat(name)
	return err == nil && now.Size == info.Size && now.ModTime.Equal(info.ModTime)
}
