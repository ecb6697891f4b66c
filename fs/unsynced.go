package fs

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// unsyncedFile tells when files were written that nobody flushed. Their entries
// may be lost with them, so after the next start of the machine a file that
// nothing is known of may be one of them. It has a line for this start of the
// machine, if there were such files, and one for all before.
const unsyncedFile = ownDir + "/unsynced"

// earlierBoots stands for all starts of the machine but the present one.
const earlierBoots = "earlier"

// unsynced is what a Dir knows of that file.
type unsynced struct {
	noted atomic.Bool // this start of the machine is in it
	once  sync.Once
	found bool // others are
}

// NoteUnsynced must be called before a file gets its name that was not flushed. It
// makes a note, once each time the machine is started, that outlasts a power loss.
func (d *Dir) NoteUnsynced() error {
	if d.unsynced.noted.Load() {
		return nil
	}
	boot := d.State(SyncNone)
	lines := d.unsyncedBoots()
	if !slices.Contains(lines, boot) {
		text := boot + "\n"
		if len(lines) > 0 {
			text = earlierBoots + "\n" + text
		}
		if err := d.writeOwn(unsyncedFile, []byte(text)); err != nil {
			return err
		}
		if err := syncDir(d.fsys, ownDir); err != nil {
			return err
		}
	}
	d.unsynced.noted.Store(true)
	return nil
}

// mayBeUnsynced reports whether a file that nothing is known of may have been
// written before the machine was started, and not flushed.
func (d *Dir) mayBeUnsynced() bool {
	d.unsynced.once.Do(func() {
		d.unsynced.found = slices.ContainsFunc(d.unsyncedBoots(), func(line string) bool {
			return d.boot == "" || line != d.boot
		})
	})
	return d.unsynced.found
}

func (d *Dir) unsyncedBoots() []string {
	text, err := d.readOwn(unsyncedFile)
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}
