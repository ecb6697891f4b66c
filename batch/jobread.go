package batch

import (
	"errors"
	"io"
	"iter"
	"time"
)

// JobStats counts a job's links.
type JobStats struct {
	Links  int   // seen; those that a changed list has no more are not counted
	Left   int   // to be fetched yet
	Done   int   // there, when they were looked at last
	Failed int   // given up; see [Job.RetryFailed]
	Untold int   // of these, bad lines of a list that no run has told yet
	Bytes  int64 // sizes of the files that are done
}

// Stats counts the job's links.
func (j *Job) Stats() JobStats {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := &j.state.counts
	return JobStats{
		Links: j.state.entries.n - c[entryWithdrawn],
		Left:  c[entryQueued] + c[entryRunning],
		Done:  c[entryDone], Failed: c[entryFailed] + c[entryBad], Untold: c[entryBad],
		Bytes: j.state.bytes,
	}
}

// Failure is a link that was given up.
type Failure struct {
	URL       string // without secrets
	Name      string // that it was given; "": none
	Line      int    // in its list; 0: none
	Reason    string // without secrets
	Attempts  int    // requests, in all runs
	Status    int    // of the answer that refused it; 0: no answer did
	Temporary bool   // it may go well later; see [dlmanager.IsTemporary]
	Time      time.Time
	Untold    bool // it is a bad line of a list, and no run has told it yet
}

// Failures returns what was given up, in the order it was added. It reads from the
// disk; what fails or is queued again meanwhile may be there or not.
func (j *Job) Failures() iter.Seq2[Failure, error] {
	return func(yield func(Failure, error) bool) {
		for index := uint32(0); ; index++ {
			f, found, last, err := j.failure(index)
			if last || (found || err != nil) && !yield(f, err) {
				return
			}
		}
	}
}

func (j *Job) failure(index uint32) (f Failure, found, last bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if int(index) >= j.state.entries.n {
		return f, false, true, nil
	}
	at, failed := j.state.failures[index]
	if !failed {
		return f, false, false, nil
	}
	err = j.decodeAt(at, func(d *decoder) { f = d.failure().Failure })
	f.Line = int(j.state.entries.at(index).line)
	return f, true, false, err
}

// RetryFailed queues what was given up again and returns how much that is.
func (j *Job) RetryFailed() (n int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n = j.state.counts[entryFailed] + j.state.counts[entryBad]
	if n == 0 {
		return 0, nil
	}
	return n, j.recordLocked(kindRetry, nil)
}

// decodeAt decodes what is in the log at an offset. Most of it is short.
func (j *Job) decodeAt(at int64, read func(*decoder)) error {
	if j.closed {
		return errJobClosed
	}
	for _, size := range []int{512, maxBody} {
		buf := make([]byte, size)
		n, err := j.log.file.ReadAt(buf, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		d := decoder{rest: buf[:n]}
		read(&d)
		if !d.bad {
			return nil
		}
	}
	return ErrDamaged
}

// errNoList says that a job cannot go on by itself.
var errNoList = errors.New("the job's links stand in a list: add that (AddList) before it runs")

// errNotKept is why a bad line of a list without a file cannot be tried again.
var errNotKept = errors.New("the line was not written down: add the link again")

// errOtherLine says that a reference leads to something else.
var errOtherLine = errors.New("the list was changed while the job runs")

// link returns what an entry is, and its name if that is known by the way. It needs
// mu. A *LineError, a *ConflictError and errNotKept are what is wrong with this link
// alone.
func (j *Job) link(index uint32) (l Link, name string, err error) {
	e := j.state.entries.at(index)
	if e.isLost() {
		return l, "", errNotKept
	}
	if !e.byRef {
		err = j.decodeAt(e.at, func(d *decoder) { l = d.linkText() })
		l.Priority = int(e.priority)
		return l, "", err
	}
	if j.list == nil {
		return l, "", errNoList
	}
	text, err := j.list.textAt(e.at)
	if err != nil {
		return l, "", err
	}
	if k := j.kept.get(index); k != nil && k.text == string(text) {
		l = k.link
		l.Line = int(e.line)
		return l, k.name, nil
	}
	l, err = j.list.linkIn(text, int(e.line))
	if err == nil {
		r, refused := j.newRecord(l)
		switch {
		case refused != nil:
			err = &LineError{j.list.name, l.Line, refused}
		case j.isSeen(r.key, index) && r.sum == e.sum:
			return l, r.name, nil
		default:
			err = &ConflictError{Name: l.Name}
		}
	}
	if !j.isSeen(badKey(string(text)), index) {
		return l, "", errOtherLine
	}
	return l, "", err
}

func (j *Job) isSeen(key [16]byte, index uint32) bool {
	i, seen := j.state.seen[key]
	return seen && i == index
}
