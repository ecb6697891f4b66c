package dlmanager

import (
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/transfer"
)

const (
	// recordFrom is the size in bytes from which a file's record is written as
	// soon as it begins: below, fetching it again costs less than a record.
	recordFrom = 1 << 20
	// recordBytes and recordTime are how much of a download a killed process
	// loses at most, of the two what comes first. A record costs some 10 µs, so
	// twenty a second are nothing, and one in 8 MiB is less than a hundredth of what
	// these cost over loopback.
	recordBytes = 8 << 20
	recordTime  = 50 * time.Millisecond
	// recordLeast is how much has to be new for a record before the next beat: a
	// thousand slow streams would write twenty thousand records a second.
	recordLeast = 16 << 10
	// beatTime is how often a process that holds a partial file shows that it is
	// alive, whatever it waits for. Those who wait for it look for longer.
	beatTime = 2 * time.Second
	// syncBytes and syncTime are how much of a long download a power loss costs,
	// when both have passed: rare enough to cost nothing, and the disk begins
	// early with what it has to do anyway.
	syncBytes = 64 << 20
	syncTime  = 10 * time.Second
)

// recorder keeps the record of a running download. The download's goroutine
// calls it; a timer of its own lets it beat.
type recorder struct {
	d       *Download
	partial *fs.Partial
	logger  *slog.Logger
	flushes bool
	now     func() time.Time

	// The download's goroutine alone uses these.
	syncedN  int64
	syncedAt time.Time

	mu      sync.Mutex // guards all below, and the note
	record  record
	stored  transfer.Result
	noted   int64 // bytes, when the record was last written
	dirty   bool  // more is stored since, and the timer runs for that
	begun   int   // counts what began in the file, anew or where it was
	worth   bool  // something is there that can be gone on from
	written time.Time
	timer   *time.Timer
	over    bool
	syncing sync.WaitGroup
}

func newRecorder(l *life) *recorder {
	now := time.Now()
	r := &recorder{
		d: l.Download, partial: l.partial, logger: l.cfg.logger, flushes: l.cfg.sync != SyncNone,
		now: time.Now, syncedAt: now,
	}
	r.record = record{Mode: l.cfg.mode, Size: -1, Boot: fs.BootID(), Synced: l.kept.synced}
	r.mu.Lock() // for the timer's goroutine
	defer r.mu.Unlock()
	r.timer = time.AfterFunc(beatTime, r.beat)
	return r
}

// beat writes what is stored by now, and shows that the process is alive.
func (r *recorder) beat() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	if r.dirty || r.stored.N != r.noted || r.now().Sub(r.written) >= beatTime {
		r.write()
	}
	r.timer.Reset(beatTime)
}

// begin notes what the file holds and how large it is before any of it changes:
// a record never promises what may not be there any more. worth says that it
// can be gone on from.
func (r *recorder) begin(stored transfer.Result, size int64, worth bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.record.Head, r.record.From, r.record.Size = stored.Head, stored.From, size
	r.stored, r.worth, r.noted = stored, worth, min(r.noted, stored.N)
	if stored.N == 0 || !worth {
		r.record.Synced = nil
	}
	r.syncedN = 0
	r.begun++
	if r.written.IsZero() && !r.partial.Adopted() && (!worth || size < 0) {
		return nil // there is none that would be wrong, and it may be small
	}
	if r.write() {
		return nil
	}
	return r.partial.DropNote()
}

// advance notes that more is stored.
func (r *recorder) advance(stored *transfer.Result, now time.Time) {
	r.note(stored)
	if r.flushes && stored.N-r.syncedN >= syncBytes && now.Sub(r.syncedAt) >= syncTime {
		r.syncedN, r.syncedAt = stored.N, now
		ranges, begun := stored.Stored(), r.begun // which this goroutine alone changes
		r.syncing.Go(func() { r.sync(ranges, begun) })
	}
}

// note writes the record, or sees to it that the timer does soon.
func (r *recorder) note(stored *transfer.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stored = *stored
	switch {
	case !r.worth, stored.N < recordFrom && r.written.IsZero():
	case stored.N-r.noted >= recordBytes:
		r.write()
	case !r.dirty && stored.N-r.noted >= recordLeast:
		r.dirty = true
		r.timer.Reset(recordTime)
	}
}

// sync flushes the file and notes that the ranges are safe.
func (r *recorder) sync(ranges []transfer.Range, begun int) {
	if r.partial.Sync() != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.worth && r.begun == begun {
		r.record.Synced = ranges
		r.write()
	}
}

// write writes the record; it needs mu. A record that cannot be written is no
// failure of the download.
func (r *recorder) write() bool {
	if r.record.Beat == 0 { // of what is small, none is written
		r.record.URL, r.record.Identity = transfer.Redact(r.d.url), hexIdentity(identity(r.d.url))
	}
	r.record.PID = os.Getpid()
	r.record.Beat++
	r.record.Ranges = nil
	if r.worth {
		r.record.Ranges = r.stored.Stored()
	}
	r.written, r.noted, r.dirty = r.now(), r.stored.N, false
	err := r.partial.Note(r.record.encode())
	if err != nil {
		r.logger.Debug("record is not written", "error", err)
	}
	return err == nil
}

// end notes what is there at last and stops the timer. It reports whether it is
// worth keeping.
func (r *recorder) end(stored *transfer.Result) (worth bool) {
	r.syncing.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.timer.Stop()
	r.stored = *stored
	if !r.worth || stored.N == 0 || stored.N < recordFrom && r.written.IsZero() {
		return false
	}
	return r.write()
}

// stop stops the timer; the record does not matter any more.
func (r *recorder) stop() {
	if r == nil {
		return
	}
	r.syncing.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.timer.Stop()
}
