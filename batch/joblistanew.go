package batch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// compare holds the list's links against what the job has read, and then begins
// the list again, with all that the job knows standing where it stands now.
func (a *listAdder) compare(ctx context.Context, accept bool) error {
	if err := a.list.rewind(); err != nil {
		return err
	}
	line, err := a.firstDifference(ctx)
	if err != nil {
		return err
	}
	if line > 0 && !accept {
		return &ListChangedError{a.list.name, line}
	}
	return a.readAnew(line > 0)
}

// readAnew reads the list from its beginning, lets all that the job knows stand
// where it stands now, and writes the log anew: all of it or nothing. If the list is
// another one, what it has no more is withdrawn.
func (a *listAdder) readAnew(changed bool) error {
	if err := a.list.rewind(); err != nil {
		return err
	}
	j := a.j
	j.mu.Lock()
	defer j.mu.Unlock()
	a.anew, a.visited = true, map[uint32]struct{}{}
	batch := newLinkBatch(j)
	batch.dry = true
	known := j.state.entries.n
	var err error
	for err == nil {
		var l listLine
		if l, err = a.next(); err == nil {
			err = a.admit(batch, &l)
		}
	}
	if errors.Is(err, io.EOF) {
		err = batch.write()
	}
	if err == nil {
		if changed {
			a.withdraw(known)
		}
		j.state.place = a.list.here()
		err = j.compact()
	}
	if err != nil {
		j.log.broken = fmt.Errorf("the list could not be read again: open the job anew: %w", err)
		return err
	}
	j.list = a.list // under the same lock: a job that runs looks for them there
	return a.writeFailures()
}

// firstDifference returns the line where the list is another one; 0: none.
func (a *listAdder) firstDifference(ctx context.Context) (int, error) {
	expected := a.referred()
	found := map[uint32]struct{}{}
	number := 0
	for len(expected) > 0 {
		l, err := a.next()
		if errors.Is(err, io.EOF) {
			return number + 1, nil
		}
		if err != nil {
			return 0, err
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		number = int(l.line)
		index, known := a.lookUp(&l)
		switch _, again := found[index]; {
		case known && (again || !a.isReferred(index)):
		case known && index == expected[0]:
			found[index] = struct{}{}
			expected = expected[1:]
		default:
			return number, nil
		}
	}
	return 0, nil
}

// lookUp returns the entry of a line.
func (a *listAdder) lookUp(l *listLine) (uint32, bool) {
	a.j.mu.Lock()
	defer a.j.mu.Unlock()
	index, known := a.j.state.seen[l.key]
	if l.err != nil || known && a.j.state.entries.at(index).sum != l.sum {
		index, known = a.j.state.seen[badKey(l.text)]
	}
	return index, known
}

// referred returns what stood in the list, in its order.
func (a *listAdder) referred() []uint32 {
	a.j.mu.Lock()
	defer a.j.mu.Unlock()
	all := &a.j.state.entries
	var list []uint32
	for i := range uint32(all.n) {
		if e := all.at(i); e.isReferred() && e.state != entryWithdrawn {
			list = append(list, i)
		}
	}
	slices.SortFunc(list, func(x, y uint32) int { return cmp.Compare(all.at(x).at, all.at(y).at) })
	return list
}

// isReferred reports whether the entry has its place in the order of the list.
func (e *entry) isReferred() bool { return e.byRef && !e.open }

func (a *listAdder) isReferred(index uint32) bool {
	a.j.mu.Lock()
	defer a.j.mu.Unlock()
	return a.j.state.entries.at(index).isReferred()
}

// withdraw takes back what the list has no more, of the first entries. It needs mu.
func (a *listAdder) withdraw(known int) {
	s := a.j.state
	for i := range uint32(known) {
		e := s.entries.at(i)
		if _, there := a.visited[i]; there || !e.byRef {
			continue
		}
		if e.state == entryQueued || e.state == entryFailed || e.state == entryBad {
			a.report.Gone++
		}
		s.set(i, entryWithdrawn)
	}
}
