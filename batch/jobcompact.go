package batch

import (
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	newLogName = "log.new"
	// worthCompacting is how many bytes of a log may be of no use: reading a
	// mebibyte costs a millisecond.
	worthCompacting = 1 << 20
)

// compactIfWorthIt writes the log anew when more than half of it is of no use. It
// needs mu.
func (j *Job) compactIfWorthIt() error {
	if j.state.dead < worthCompacting || j.state.dead < j.log.size/2 {
		return nil
	}
	return j.compact()
}

// compact writes the log anew, from what is in memory, and puts it in the place of
// the old one. Links keep their order. It needs mu.
func (j *Job) compact() error {
	path := j.path(newLogName)
	log, err := openLog(j.fs, path)
	if err != nil {
		return err
	}
	c := &compaction{j: j, log: log, moved: map[uint32]int64{}}
	if err := errors.Join(c.write(), log.sync()); err != nil {
		return errors.Join(err, log.file.Close(), j.fs.Remove(path))
	}
	if err := j.replaceLog(path, log); err != nil {
		return err
	}
	j.state.dead = 0
	for index, at := range c.moved {
		j.state.entries.at(index).at = at
	}
	j.state.failures = c.failures
	return nil
}

// replaceLog puts the new log in the place of the old one. Both are closed for it:
// Windows gives no name away while a file is open.
func (j *Job) replaceLog(path string, log *jobLog) error {
	err := errors.Join(j.log.file.Close(), log.file.Close())
	if err == nil {
		err = j.fs.Rename(path, j.path(logName))
	}
	f, failed := j.fs.OpenFile(j.path(logName), os.O_RDWR, 0)
	if err = errors.Join(err, failed); err != nil {
		if failed == nil {
			j.log.file = f
		}
		j.log.broken = fmt.Errorf("save job: %w", err)
		return j.log.broken
	}
	log.file = f
	j.log = log
	return nil
}

// compaction is one writing anew.
type compaction struct {
	j        *Job
	log      *jobLog
	body     []byte
	last     linkRecord
	pending  map[uint32]int   // index: where its text begins in body
	moved    map[uint32]int64 // where it begins in the log
	failures map[uint32]int64
}

func (c *compaction) write() error {
	s := c.j.state
	if _, err := c.log.append(kindHeader, headerBody(s.magic, s.bytes)); err != nil {
		return err
	}
	for key, value := range s.values {
		if _, err := c.log.append(kindValue, append(appendText(nil, key), value...)); err != nil {
			return err
		}
	}
	if err := c.links(); err != nil {
		return err
	}
	if err := c.writeFailures(); err != nil {
		return err
	}
	_, err := c.log.append(kindCheckpoint, checkpointBody(s.place))
	return err
}

func (c *compaction) links() error {
	s := c.j.state
	keys := make([][16]byte, s.entries.n)
	for key, index := range s.seen {
		keys[index] = key
	}
	c.pending = map[uint32]int{}
	for i := range uint32(s.entries.n) {
		if err := c.link(i, keys[i]); err != nil {
			return err
		}
	}
	return c.flush()
}

func (c *compaction) link(index uint32, key [16]byte) error {
	e := c.j.state.entries.at(index)
	r := linkRecord{key: key, sum: e.sum, priority: e.priority, line: e.line, flags: e.flags()}
	switch {
	case e.byRef:
		r.offset = e.at
	case r.flags&linkOver == 0:
		if err := c.j.decodeAt(e.at, func(d *decoder) { r.link = d.linkText() }); err != nil {
			return err
		}
	}
	if len(c.body) > maxBody-maxLinkText-64 {
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.body = appendLink(c.body, &r, &c.last)
	if r.flags&(linkByRef|linkOver) == 0 {
		c.pending[index] = len(c.body) - len(appendLinkText(nil, &r.link))
	}
	return nil
}

// isLost reports whether nobody knows what the entry was.
func (e *entry) isLost() bool { return !e.byRef && e.at == 0 }

// flags returns what the log says of an entry.
func (e *entry) flags() (flags byte) {
	if e.byRef {
		flags |= linkByRef
	}
	if e.open {
		flags |= linkOpen
	}
	if e.priority != 0 {
		flags |= linkPriority
	}
	switch {
	case e.state == entryWithdrawn:
		flags |= linkOver | linkGone
	case e.state == entryDone, e.isLost():
		flags |= linkOver
	}
	return flags
}

func (c *compaction) flush() error {
	if len(c.body) == 0 {
		return nil
	}
	at, err := c.log.append(kindLinks, c.body)
	if err != nil {
		return err
	}
	for index, in := range c.pending {
		c.moved[index] = at + int64(in)
	}
	clear(c.pending)
	c.body, c.last = c.body[:0], linkRecord{}
	return nil
}

// writeFailures writes the failures in order. What has failed, was not kept and is
// queued again has failed, again: links has written that it is over.
func (c *compaction) writeFailures() error {
	s := c.j.state
	c.failures = make(map[uint32]int64, len(s.failures))
	for i := range uint32(s.entries.n) {
		old, failed := s.failures[i]
		if e := s.entries.at(i); e.isLost() && (e.state == entryQueued || e.state == entryRunning) {
			lost := failureRecord{i, Failure{Reason: errNotKept.Error(), Untold: true, Time: time.Now()}}
			if _, err := c.log.append(kindFailed, lost.body()); err != nil {
				return err
			}
		}
		if !failed {
			continue
		}
		var r failureRecord
		if err := c.j.decodeAt(old, func(d *decoder) { r = d.failure() }); err != nil {
			return err
		}
		at, err := c.log.append(kindFailed, r.body())
		if err != nil {
			return err
		}
		c.failures[i] = at
	}
	return nil
}
