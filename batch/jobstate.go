package batch

import (
	"cmp"
	"slices"
)

// What an entry is.
const (
	entryQueued byte = iota
	entryRunning
	entryDone
	entryFailed
	entryBad       // failed when it was added, which a run has to tell yet
	entryWithdrawn // its list has it no more
)

// entry is what is kept in memory of one link: 24 bytes, and some 40 more for its
// hash in jobState.seen. What the link is stands in the log or in the list.
type entry struct {
	at       int64  // where what it is begins: in the list (byRef) or the log
	sum      uint32 // see linkRecord
	line     uint32 // of the list; 0: none
	priority int32
	attempts uint8 // requests made, in all runs; 255: or more
	state    byte
	byRef    bool
	open     bool // see linkOpen
}

// entriesChunk is how many entries are made at a time: growing one array would
// need more than twice the memory for a moment.
const entriesChunk = 1 << 14

// entries is a list of entries that are never moved.
type entries struct {
	chunks [][]entry
	n      int
}

func (e *entries) add(x entry) (index uint32) {
	if e.n%entriesChunk == 0 {
		e.chunks = append(e.chunks, make([]entry, 0, entriesChunk))
	}
	last := &e.chunks[len(e.chunks)-1]
	*last = append(*last, x)
	e.n++
	return uint32(e.n - 1)
}

func (e *entries) at(index uint32) *entry {
	return &e.chunks[index/entriesChunk][index%entriesChunk]
}

// jobState is what the log says.
type jobState struct {
	magic    string
	begun    bool // there was a header
	entries  entries
	seen     map[[16]byte]uint32 // hash of the name: index
	queue    jobQueue
	failures map[uint32]int64 // index: where the body of its failureRecord begins
	values   map[string][]byte
	place    place                   // how far the list was read, all before it is in entries
	counts   [entryWithdrawn + 1]int // by state
	bytes    int64                   // of the files that are done
	dead     int64                   // bytes of the log that are not needed any more
}

func newJobState() *jobState {
	return &jobState{seen: map[[16]byte]uint32{}, failures: map[uint32]int64{}, values: map[string][]byte{}}
}

// set changes the state of an entry.
func (s *jobState) set(index uint32, state byte) *entry {
	e := s.entries.at(index)
	s.counts[e.state]--
	s.counts[state]++
	e.state = state
	if state != entryFailed && state != entryBad {
		delete(s.failures, index)
	}
	return e
}

// admit adds a link that was not seen, or queues one again that was withdrawn. Of
// one that is known, only where it stands is new. at is where what it is begins in
// the log.
func (s *jobState) admit(r *linkRecord, at int64) (known bool) {
	x := entry{at: at, sum: r.sum, line: r.line, priority: r.priority, byRef: r.flags&linkByRef != 0, open: r.flags&linkOpen != 0}
	if x.byRef {
		x.at = r.offset
	}
	switch {
	case r.flags&linkGone != 0:
		x.state = entryWithdrawn
	case r.flags&linkOver != 0:
		x.state = entryDone
	}
	index, known := s.seen[r.key]
	if !known {
		index = s.entries.add(x)
		s.seen[r.key] = index
		s.counts[x.state]++
		if x.state == entryQueued {
			s.queue.push(x.priority, index)
		}
		return false
	}
	e := s.entries.at(index)
	x.state, x.attempts = e.state, e.attempts
	*e = x
	if e.state == entryWithdrawn {
		s.set(index, entryQueued)
		s.queue.push(e.priority, index)
	}
	return true
}

// retry queues all that failed again.
func (s *jobState) retry() (n int) {
	for i := range uint32(s.entries.n) {
		if state := s.entries.at(i).state; state == entryFailed || state == entryBad {
			s.queue.push(s.set(i, entryQueued).priority, i)
			n++
		}
	}
	return n
}

// requeueAll makes the queue anew.
func (s *jobState) requeueAll() {
	s.queue = jobQueue{}
	for i := range uint32(s.entries.n) {
		if e := s.entries.at(i); e.state == entryQueued || e.state == entryBad {
			s.queue.push(e.priority, i)
		}
	}
}

// jobQueue gives out indices, by priority and then in order. What is popped may
// have another state by then.
type jobQueue struct {
	lines []queueLine // by priority, highest first
}

// queueLine is what waits with one priority.
type queueLine struct {
	priority int32
	waiting  []uint32
}

func (q *jobQueue) push(priority int32, index uint32) {
	at, found := slices.BinarySearchFunc(q.lines, priority, func(l queueLine, p int32) int {
		return cmp.Compare(p, l.priority) // highest first
	})
	if !found {
		q.lines = slices.Insert(q.lines, at, queueLine{priority: priority})
	}
	q.lines[at].waiting = append(q.lines[at].waiting, index)
}

func (q *jobQueue) pop() (index uint32, ok bool) {
	if len(q.lines) == 0 {
		return 0, false
	}
	l := &q.lines[0]
	index = l.waiting[0]
	if l.waiting = l.waiting[1:]; len(l.waiting) == 0 {
		q.lines = q.lines[1:]
	}
	return index, true
}
