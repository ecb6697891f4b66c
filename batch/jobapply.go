package batch

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// apply changes the state as a record says. at is where its body begins.
func (s *jobState) apply(kind byte, at int64, body []byte) error {
	d := &decoder{rest: body}
	if kind != kindHeader && !s.begun {
		return ErrNotJob
	}
	switch kind {
	case kindHeader:
		if d.uvarint() != jobFormat {
			return ErrNotJob
		}
		s.magic, s.begun = d.text(), true
		s.bytes = int64(d.uvarint())
	case kindLinks:
		s.applyLinks(d, at+int64(len(body)))
	case kindDone:
		s.applyDone(d)
	case kindFailed:
		s.applyFailed(d, at, len(body))
	case kindValue:
		key := d.text()
		s.dead += int64(len(s.values[key]))
		s.values[key] = slices.Clone(d.rest)
	case kindUnset:
		key := d.text()
		s.dead += int64(len(s.values[key]) + len(body))
		delete(s.values, key)
	case kindCheckpoint:
		s.place = place{int64(d.uvarint()), int(d.uvarint()), d.text()}
		s.dead += recordHeader + int64(len(body))
	case kindRetry:
		s.retry()
	case kindWithdrawn:
		s.applyWithdrawn(d)
	default:
		return ErrNotJob
	}
	if d.bad {
		return fmt.Errorf("%w: a record of kind %d cannot be read", ErrDamaged, kind)
	}
	return nil
}

func headerBody(magic string, bytes int64) []byte {
	b := appendText(binary.AppendUvarint(nil, jobFormat), magic)
	return binary.AppendUvarint(b, uint64(bytes))
}

func checkpointBody(p place) []byte {
	b := binary.AppendUvarint(nil, uint64(p.Offset))
	b = binary.AppendUvarint(b, uint64(p.Line))
	return appendText(b, p.SHA256)
}

// applyLinks admits the links of a record; end is where its body ends.
func (s *jobState) applyLinks(d *decoder, end int64) {
	var last linkRecord
	for len(d.rest) > 0 {
		r, at := d.link(&last, end)
		if d.bad {
			return
		}
		if known := s.admit(&r, at); known {
			s.dead += 32 // about what it took
		}
	}
}

func (s *jobState) applyDone(d *decoder) {
	index, size, dead := d.uvarint(), d.uvarint(), d.uvarint()
	if d.bad = d.bad || index >= uint64(s.entries.n); d.bad {
		return
	}
	s.set(uint32(index), entryDone)
	s.bytes += int64(size)
	s.dead += int64(dead)
}

func (s *jobState) applyWithdrawn(d *decoder) {
	index := uint64(0)
	for len(d.rest) > 0 {
		index += d.uvarint()
		if d.bad = d.bad || index >= uint64(s.entries.n); d.bad {
			return
		}
		s.set(uint32(index), entryWithdrawn)
	}
}

// failureRecord is a failure in the log.
type failureRecord struct {
	index uint32
	Failure
}

// What a failure's flags say.
const (
	failureTemporary = 1 << iota
	failureUntold
)

func (r *failureRecord) body() []byte {
	b := binary.AppendUvarint(nil, uint64(r.index))
	b = binary.AppendUvarint(b, uint64(r.Attempts))
	b = binary.AppendUvarint(b, uint64(r.Status))
	b = binary.AppendVarint(b, r.Time.Unix())
	flags := byte(0)
	if r.Temporary {
		flags |= failureTemporary
	}
	if r.Untold {
		flags |= failureUntold
	}
	b = append(b, flags)
	b = appendText(b, r.URL)
	b = appendText(b, r.Name)
	return appendText(b, r.Reason)
}

func (d *decoder) failure() (r failureRecord) {
	r.index = uint32(d.uvarint())
	r.Attempts, r.Status = int(d.uvarint()), int(d.uvarint())
	r.Time = time.Unix(d.varint(), 0)
	flags := d.byte()
	r.Temporary, r.Untold = flags&failureTemporary != 0, flags&failureUntold != 0
	r.URL, r.Name, r.Reason = d.text(), d.text(), d.text()
	return r
}

func (s *jobState) applyFailed(d *decoder, at int64, size int) {
	r := d.failure()
	if d.bad = d.bad || int(r.index) >= s.entries.n; d.bad {
		return
	}
	e := s.entries.at(r.index)
	if e.attempts > 0 || e.state == entryBad {
		s.dead += int64(size) // of the failure before
	}
	e.attempts = uint8(min(r.Attempts, 1<<8-1))
	s.failures[r.index] = at
	if !r.Untold {
		s.set(r.index, entryFailed)
		return
	}
	if e.state != entryQueued {
		s.queue.push(e.priority, r.index)
	}
	s.set(r.index, entryBad)
}
