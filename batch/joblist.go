package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ListReport is what a list has brought.
type ListReport struct {
	Added int // links that are new
	Known int // that the job has seen already, duplicates among them
	Bad   int // lines that failed at once; see [Job.Failures]
	Gone  int // links that the list has no more, and that were not done; see [Job.AcceptList]
}

// ErrListChanged is matched by a [*ListChangedError].
var ErrListChanged = errors.New("the list was changed")

// ListChangedError is the refusal of a list that is not the one that the job was
// begun with, up to where the job has read it.
type ListChangedError struct {
	List string
	Line int // the first that differs
}

func (e *ListChangedError) Error() string {
	return fmt.Sprintf("%s:%d: the list is not what it was when the job read it, from this line on: accept the changes, or begin the job anew", e.List, e.Line)
}

// Is makes it match ErrListChanged.
func (e *ListChangedError) Is(target error) bool { return target == ErrListChanged }

// AddList adds the links of a list that has just been opened, from where the job
// has read it before; a job has one list at a time. What was appended since is
// simply added. If the links before were changed, that is a *ListChangedError, and
// nothing is added; comments and blank lines may change. A bad line is a failure of
// the job's, and stops nothing.
//
// Of a list in a file, the job writes down where the links stand and their hashes,
// but not the links: secrets in them stay where they are. The list has to be open
// while the job runs. The links of another one are kept as those of [Job.Add], and
// those that Add would refuse fail.
//
// It may be called while the job runs, which does not end before it has returned.
func (j *Job) AddList(ctx context.Context, list *LinkList) (ListReport, error) {
	return j.addList(ctx, list, false, func() {})
}

// StartList is AddList that returns as soon as the list is known not to be changed and
// its first links are added: the job may run while the others are. wait returns
// what AddList would have returned; call it before the list and the job are closed. If
// AddList fails before that, StartList returns its error, too.
func (j *Job) StartList(ctx context.Context, list *LinkList) (wait func() (ListReport, error), err error) {
	var report ListReport
	var failed error
	begun, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		report, failed = j.addList(ctx, list, false, sync.OnceFunc(func() { close(begun) }))
	}()
	wait = func() (ListReport, error) {
		<-over
		return report, failed
	}
	select {
	case <-begun:
	case <-over:
	}
	select {
	case <-begun: // also if it is over by now: what comes of it must not depend on that
		return wait, nil
	default:
		return wait, failed
	}
}

// AcceptList is AddList of a list that may have been changed: it is read from its
// beginning. What it has no more, and is not done, is not fetched any more.
func (j *Job) AcceptList(ctx context.Context, list *LinkList) (ListReport, error) {
	return j.addList(ctx, list, true, func() {})
}

// addList calls begun whenever lines have been added and it is to go on.
func (j *Job) addList(ctx context.Context, list *LinkList, accept bool, begun func()) (ListReport, error) {
	a := &listAdder{j: j, list: list, batch: newLinkBatch(j), begun: begun}
	j.mu.Lock()
	closed, place := j.closed, j.state.place
	j.adding++
	j.mu.Unlock()
	defer a.end()
	switch {
	case closed:
		return a.report, errJobClosed
	case list.used || list.over != nil:
		return a.report, ErrUsed
	}
	list.used = true
	if list.file != nil && place.Offset > 0 && list.skipTo(place) != nil {
		if err := a.compare(ctx, accept); err != nil {
			return a.report, err
		}
	}
	a.attach()
	return a.report, a.run(ctx)
}

// listAdder is one AddList.
type listAdder struct {
	j        *Job
	list     *LinkList
	batch    *linkBatch
	report   ListReport
	begun    func()
	anew     bool                // references are taken from the list, also of what is known
	visited  map[uint32]struct{} // anew: what the list has
	failures []keyedFailure
}

// listLine is a line of a list as the job sees it.
type listLine struct {
	linkRecord
	text string // makes its key if it cannot be fetched
	err  error  // why
}

// badKey is the key of a line that is no link, or whose name another link has.
func badKey(text string) [16]byte { return hashOf("line", text) }

// attach lets the job read the list.
func (a *listAdder) attach() {
	if a.list.file == nil {
		return
	}
	fi, err := a.list.file.Stat()
	a.j.mu.Lock()
	defer a.j.mu.Unlock()
	if s := a.j.state; err == nil && len(s.seen) == 0 {
		s.seen = make(map[[16]byte]uint32, min(fi.Size()/64, 1<<20)) // of lines of usual lengths, it need not grow
	}
	a.j.list = a.list
	a.j.changed.Broadcast()
}

func (a *listAdder) end() {
	a.j.mu.Lock()
	defer a.j.mu.Unlock()
	a.j.adding--
	a.j.changed.Broadcast()
}

// next returns the next line with a link, or with something that should be one.
func (a *listAdder) next() (listLine, error) {
	item, err := a.list.next()
	_, bad := errors.AsType[*LineError](err)
	if err != nil && !bad {
		return listLine{}, err
	}
	l := listLine{text: item.text, err: err}
	if err == nil {
		l.linkRecord, l.err = a.j.newRecord(item.Link)
		if l.err == nil && a.list.file == nil {
			l.err = a.j.mayKeep(&item.Link)
		}
	}
	l.link, l.line = item.Link, uint32(item.line.number)
	if a.list.file != nil {
		l.flags |= linkByRef
		l.offset = item.line.offset
		if item.line.open {
			l.flags |= linkOpen
		}
	}
	return l, nil
}

// linesAtOnce is how many lines are read before the job is told of them: it does
// not wait for them, and one write for all is cheap.
const linesAtOnce = 256

// run adds the lines from where the list is. Those of a stream are added before it
// is waited for.
func (a *listAdder) run(ctx context.Context) error {
	lines := make([]listLine, 0, linesAtOnce)
	var failed error
	save := func() error {
		switch {
		case failed != nil:
		case ctx.Err() != nil:
			failed = context.Cause(ctx)
		default:
			failed = a.add(lines)
		}
		lines = lines[:0]
		return failed
	}
	a.list.beforeRead(func() error {
		if err := save(); err != nil {
			return err
		}
		a.begun()
		return nil
	})
	defer a.list.beforeRead(nil)
	for {
		l, err := a.next()
		if err == nil {
			lines = append(lines, l)
		}
		if err != nil || len(lines) == linesAtOnce {
			if failed := save(); failed != nil {
				return failed
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return a.forgetTorn()
		case err != nil:
			return err
		case len(lines) == 0:
			a.begun()
		}
	}
}

// forgetTorn takes back what has failed on a line without an end that has got one
// since, and is another link now.
func (a *listAdder) forgetTorn() error {
	j := a.j
	j.mu.Lock()
	defer j.mu.Unlock()
	var gone []uint32
	for i := range j.state.failures {
		if !j.state.entries.at(i).open {
			continue
		}
		if _, _, err := j.link(i); errors.Is(err, errOtherLine) {
			gone = append(gone, i)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return j.recordLocked(kindWithdrawn, appendIndices(nil, gone))
}

// add adds lines, and that the list was read so far.
func (a *listAdder) add(lines []listLine) error {
	j := a.j
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range lines {
		if err := a.admit(a.batch, &lines[i]); err != nil {
			return err
		}
	}
	first := uint32(j.state.entries.n)
	if err := a.batch.write(); err != nil {
		return err // what was to fail is not there, either
	}
	a.keep(lines, first)
	if err := a.writeFailures(); err != nil || a.list.file == nil || a.list.broke() {
		return err // what broke is met again by who reads these lines once more
	}
	return j.recordLocked(kindCheckpoint, checkpointBody(a.list.here()))
}

// keep keeps for their turn the links of what was added, which has the indices from
// next on, in the order of the lines. It needs mu.
func (a *listAdder) keep(lines []listLine, next uint32) {
	all := &a.j.state.entries
	for i := range lines {
		l := &lines[i]
		if int(next) == all.n {
			return
		}
		if e := all.at(next); !e.byRef || e.at != l.offset {
			continue
		}
		if l.err == nil {
			a.j.kept.add(next, keptLink{l.link, l.name, l.text})
		}
		next++
	}
}

// admit adds one line.
func (a *listAdder) admit(b *linkBatch, l *listLine) error {
	if l.err == nil {
		if a.refersAnew(b, l) {
			a.report.Known++
			return b.add(&l.linkRecord)
		}
		added, err := b.admits(&l.linkRecord)
		if added {
			a.report.Added++
		} else if err == nil {
			a.report.Known++
		}
		if _, conflict := errors.AsType[*ConflictError](err); !conflict {
			return err
		}
		l.err = err
	}
	return a.fail(b, l)
}

// refersAnew reports whether what is known stands in another place now, or on a line
// that has got its end. The first of several lines counts.
func (a *listAdder) refersAnew(b *linkBatch, l *listLine) bool {
	index, seen := a.j.state.seen[l.key]
	if !seen {
		return false
	}
	e := a.j.state.entries.at(index)
	if _, fresh := b.fresh[l.key]; fresh || !e.byRef || e.sum != l.sum {
		return false
	}
	if a.anew {
		_, visited := a.visited[index]
		a.visited[index] = struct{}{}
		return !visited && e.state != entryWithdrawn
	}
	return e.open && (l.flags&linkOpen == 0 || e.at != l.offset)
}

// fail adds a line that has failed.
func (a *listAdder) fail(b *linkBatch, l *listLine) error {
	a.report.Bad++
	l.key, l.sum = badKey(l.text), 0
	if a.refersAnew(b, l) {
		return b.add(&l.linkRecord)
	}
	index, seen := a.j.state.seen[l.key]
	if _, fresh := b.fresh[l.key]; fresh || seen && a.j.state.entries.at(index).state != entryWithdrawn {
		return nil
	}
	if l.flags&linkByRef == 0 {
		l.flags |= linkOver // there is nothing to be tried again
	}
	f := failureIn(&l.link)
	f.Reason, f.Time, f.Untold = shortened(reasonOf(l.err), maxReason), time.Now(), true
	if err := b.add(&l.linkRecord); err != nil {
		return err
	}
	a.failures = append(a.failures, keyedFailure{l.key, *f})
	return nil
}

// keyedFailure is a failure of what is about to be added.
type keyedFailure struct {
	key [16]byte
	Failure
}

// writeFailures writes the failures of what has been added.
func (a *listAdder) writeFailures() error {
	for _, f := range a.failures {
		r := failureRecord{a.j.state.seen[f.key], f.Failure}
		if err := a.j.recordLocked(kindFailed, r.body()); err != nil {
			return err
		}
	}
	a.failures = a.failures[:0]
	return nil
}
