package batch

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dlmanager/dlmanager"
)

// hostShare is which part of the window one host may have: as many slow hosts, less
// one, leave room for the others.
const hostShare = 8

// jobHost is what a run knows of one host.
type jobHost struct {
	name   string
	hand   int
	parked []uint32 // has its turn when there is room
}

// jobItem is what an outcome needs to be noted.
type jobItem struct {
	index uint32
	shown *Failure // what of a bad line is told; nil: it is a link
}

// named is what an item without a name is called.
type named struct {
	name string // "": nobody has asked yet
	bad  error  // why there is no link to be named
}

// name is the job's naming: it is asked once for each item without a name, in the
// order in which they were given out.
func (r *jobRun) name(url string) (string, error) {
	n := r.named[r.asked]
	r.asked++
	if n.bad != nil || n.name != "" {
		return n.name, n.bad
	}
	return r.j.naming(url)
}

// next gives out what is to be done, as long as there is something or something may
// come; see [supply].
func (r *jobRun) next(to []Item[jobItem], most int) []Item[jobItem] {
	over := false
	for len(to) == 0 && !over {
		to, over = r.nextFew(to, most)
	}
	return to
}

// nextFew looks at some entries, no more than most, so that others have their turn
// with the job; if there are none, it waits for one. What has no turn yet, or none any
// more, is not given out.
func (r *jobRun) nextFew(to []Item[jobItem], most int) (_ []Item[jobItem], over bool) {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	clear(r.named) // or the array keeps them
	r.named, r.asked = r.named[:0], 0
	index, ok := r.await()
	if !ok {
		return to, true
	}
	for n := 1; ok; n++ {
		item, found, over := r.turn(index)
		if over {
			return to, true
		}
		if found {
			to = append(to, item)
		}
		if n == most {
			break
		}
		index, ok = r.first()
	}
	return to, false
}

// turn gives an entry out, unless it is not its turn.
func (r *jobRun) turn(index uint32) (item Item[jobItem], found, over bool) {
	s := r.j.state
	e := s.entries.at(index)
	if e.state != entryQueued && e.state != entryBad {
		return item, false, false // it was withdrawn
	}
	if h := r.hand[index]; h != nil { // it was withdrawn, and is back
		h.parked = append(h.parked, index)
		return item, false, false
	}
	if e.state == entryBad && !e.open {
		return r.bad(index)
	}
	var shown *Failure
	link, name, err := r.j.link(index)
	switch _, bad := errors.AsType[*LineError](err); {
	case e.state == entryBad && !errors.Is(err, errOtherLine):
		return r.bad(index)
	case err == nil:
	case bad || errors.Is(err, errNotKept) || isConflict(err):
		shown, link = failureIn(&link), Link{Line: int(e.line)}
	case errors.Is(err, errOtherLine) && e.open: // it has got its end, and is another link now
		return item, false, !r.withdraw(index)
	case errors.Is(err, errOtherLine):
		r.failLocked(&ListChangedError{r.j.list.name, int(e.line)})
		return item, false, true
	default:
		r.failLocked(err)
		return item, false, true
	}
	h := r.host(link.URL)
	if h.hand >= r.share {
		h.parked = append(h.parked, index)
		return item, false, false
	}
	h.hand++
	r.j.kept.drop(index)
	r.hand[index] = h
	if link.Name == "" {
		r.named = append(r.named, named{name, err})
	}
	s.set(index, entryRunning)
	return Item[jobItem]{link, jobItem{index, shown}}, true, false
}

// withdraw takes an entry back, and reports whether that was noted.
func (r *jobRun) withdraw(index uint32) bool {
	err := r.j.recordLocked(kindWithdrawn, appendIndices(nil, []uint32{index}))
	if err != nil {
		r.failLocked(err)
	}
	return err == nil
}

// bad gives out what has failed when it was added. It stays that until it was told.
func (r *jobRun) bad(index uint32) (item Item[jobItem], found, over bool) {
	var f Failure
	if err := r.j.decodeAt(r.j.state.failures[index], func(d *decoder) { f = d.failure().Failure }); err != nil {
		r.failLocked(err)
		return item, false, true
	}
	h := r.host("")
	h.hand++
	r.hand[index] = h
	link := Link{Line: int(r.j.state.entries.at(index).line)}
	r.named = append(r.named, named{bad: errors.New(f.Reason)})
	return Item[jobItem]{link, jobItem{index, &f}}, true, false
}

func isConflict(err error) bool {
	_, conflict := errors.AsType[*ConflictError](err)
	return conflict
}

// await returns the entry whose turn it is, and waits for one while it may come.
func (r *jobRun) await() (index uint32, ok bool) {
	j := r.j
	for r.ctx.Err() == nil {
		if index, ok := r.first(); ok {
			return index, true
		}
		if len(r.hand) == 0 && j.adding == 0 {
			break
		}
		j.changed.Wait()
	}
	return 0, false
}

// first takes the first entry from the queue, if one may be taken now.
func (r *jobRun) first() (index uint32, ok bool) {
	j := r.j
	if r.limits.Files > 0 && r.there+len(r.hand) >= r.limits.Files {
		return 0, false
	}
	if len(r.released) > 0 {
		index = r.released[0]
		if j.state.entries.at(index).byRef && j.list == nil && j.adding > 0 {
			return 0, false // its list is being looked at
		}
		r.released = r.released[1:]
		return index, true
	}
	index, ok = j.state.queue.pop()
	if ok && j.state.entries.at(index).byRef && j.list == nil && j.adding > 0 {
		r.released = append(r.released, index)
		return 0, false
	}
	return index, ok
}

// host returns what is known of the host of a URL.
func (r *jobRun) host(raw string) *jobHost {
	spelled := spelledHostOf(raw)
	if r.latest != nil && r.latest.name == spelled && r.latest.hand > 0 { // most are the same as before
		return r.latest
	}
	name := strings.ToLower(spelled)
	h := r.hosts[name]
	if h == nil {
		h = &jobHost{name: name}
		r.hosts[name] = h
	}
	r.latest = h
	return h
}

// spelledHostOf returns the host of a URL that was checked, and its port, as they are
// spelled, without reading all of it.
func spelledHostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	for i := range len(rest) {
		if c := rest[i]; c == '/' || c == '?' || c == '#' {
			rest = rest[:i]
			break
		}
	}
	return rest[strings.LastIndexByte(rest, '@')+1:]
}

// noteAfter is how long outcomes that were told wait for the next one to be told, to
// be noted with it: a kill in between makes them come again. Failures do not wait.
const noteAfter = 10 * time.Millisecond

// finish tells outcomes, and notes them with one write.
func (r *jobRun) finish(group []Outcome[jobItem]) {
	for i := range group {
		r.report.count(&group[i])
	}
	r.checkLimits() // before they are told, which may take long
	told := 0
	defer func() { r.note(group[:told]) }() // when tell panics, too
	begun := time.Now()
	for told < len(group) {
		o := &group[told]
		if f := o.Value.shown; f != nil {
			o.URL, o.Name = f.URL, f.Name
		}
		r.tell(o)
		told++
		failed := o.State == Failed // a file that comes again is there, but this would be asked for again
		if now := time.Now(); failed || now.Sub(begun) > noteAfter {
			r.note(group[:told])
			group, told, begun = group[told:], 0, now
		}
	}
}

// tell calls the caller's function. If it panics, nobody waits for more items.
func (r *jobRun) tell(o *Outcome[jobItem]) {
	if r.told == nil {
		return
	}
	returned := false
	defer func() {
		if !returned {
			r.stop(errLeft)
		}
	}()
	r.told(Outcome[Link]{
		Item: Item[Link]{o.Link, o.Link}, State: o.State, Attempts: o.Attempts, Path: o.Path,
		Status: o.Status, Bytes: o.Bytes, Err: o.Err, Result: o.Result,
	})
	returned = true
}

// note writes down outcomes that were told. If that cannot be done, the items come
// again.
func (r *jobRun) note(group []Outcome[jobItem]) {
	if len(group) == 0 {
		return
	}
	j := r.j
	j.mu.Lock()
	defer j.mu.Unlock()
	r.records, r.bodies = r.records[:0], r.bodies[:0]
	for i := range group {
		r.record(&group[i])
	}
	if len(r.records) > 0 {
		if err := j.recordAll(r.records); err != nil {
			r.failLocked(err)
		}
	}
	for i := range group {
		r.release(group[i].Value.index)
	}
	j.changed.Broadcast()
}

// record says what is to be written down of an outcome, if anything is. It needs mu.
func (r *jobRun) record(o *Outcome[jobItem]) {
	index := o.Value.index
	e := r.j.state.entries.at(index)
	switch {
	case e.state == entryQueued: // it was withdrawn and is back, maybe as another link
	case o.There():
		r.there++
		begin := len(r.bodies)
		r.bodies = appendDone(r.bodies, index, o)
		r.records = append(r.records, record{kind: kindDone, body: r.bodies[begin:]})
	case o.State == Failed && e.state == entryWithdrawn: // its list has it no more
	case o.State == Failed:
		f := failureRecord{index: index, Failure: *failureOf(o)}
		f.Attempts += int(e.attempts)
		r.records = append(r.records, record{kind: kindFailed, body: f.body()})
	default:
		e.attempts = uint8(min(int(e.attempts)+o.Attempts, 1<<8-1))
		if errors.Is(o.Err, dlmanager.ErrClosed) {
			r.failLocked(fmt.Errorf("the job stopped: %w", dlmanager.ErrClosed))
		}
	}
}

// release ends what an item has in hand, and leaves it to the next run if it was not
// noted. It needs mu.
func (r *jobRun) release(index uint32) {
	r.requeue(index)
	h := r.hand[index]
	delete(r.hand, index)
	h.hand--
	// Those that were withdrawn give no room to the next one.
	for len(h.parked) > 0 {
		next := h.parked[0]
		h.parked = h.parked[1:]
		r.released = append(r.released, next)
		if r.j.state.entries.at(next).state == entryQueued {
			return
		}
	}
	if h.hand == 0 {
		delete(r.hosts, h.name)
	}
}

func appendDone(b []byte, index uint32, o *Outcome[jobItem]) []byte {
	text := uint64(len(o.URL) + len(o.Name) + len(o.Checksum))
	for _, m := range o.Mirrors {
		text += uint64(len(m))
	}
	return appendUvarints(b, uint64(index), uint64(o.Bytes), text)
}

const (
	// maxReason is how much of an error is kept, in bytes: some say what a server sent.
	maxReason = 1 << 10
	// maxShown is how much of a failed link's URL and name is kept each. They are to be
	// read by people, and have to fit into a record also when they are escaped.
	maxShown = 8 << 10
)

// shortened cuts off what is beyond limit bytes.
func shortened(s string, limit int) string {
	if s = strings.ToValidUTF8(s, ""); len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

// reasonOf says what is wrong with a link. Its line in the list is beside that, and
// may become another one.
func reasonOf(err error) string {
	if line, ok := errors.AsType[*LineError](err); ok {
		err = line.Err
	}
	return err.Error()
}

// failureIn is what may be shown of a link.
func failureIn(l *Link) *Failure {
	return &Failure{URL: shortened(dlmanager.RedactURL(l.URL), maxShown), Name: shortened(l.Name, maxShown)}
}

func failureOf(o *Outcome[jobItem]) *Failure {
	f := failureIn(&o.Link)
	f.Reason, f.Time = shortened(reasonOf(o.Err), maxReason), time.Now()
	f.Attempts, f.Status, f.Temporary = o.Attempts, o.Status, dlmanager.IsTemporary(o.Err)
	return f
}

func (r *Report) count(o *Outcome[jobItem]) {
	r.Bytes += o.Result.WireBytes
	switch o.State {
	case Written:
		r.Written++
	case CacheHit:
		r.Cached++
	case Failed:
		r.Failed++
	default:
		r.Stopped++
	}
}

// checkLimits stops the run when it has done what it may.
func (r *jobRun) checkLimits() {
	l := &r.limits
	switch {
	case l.Files > 0 && r.report.Written+r.report.Cached >= l.Files:
		r.stop(ReasonFiles)
	case l.Bytes > 0 && r.report.Bytes >= l.Bytes:
		r.stop(ReasonBytes)
	case l.Errors > 0 && r.report.Failed >= l.Errors:
		r.stop(ReasonErrors)
	}
}
