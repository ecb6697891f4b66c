package digest

import "slices"

// span is a range of bytes, without the one at to.
type span struct{ from, to int64 }

// spans are in order and do not touch each other.
type spans []span

// add joins a span with those that it touches.
func (s *spans) add(n span) {
	if n.from >= n.to {
		return
	}
	first, _ := slices.BinarySearchFunc(*s, n.from, func(have span, from int64) int {
		if have.to < from {
			return -1
		}
		return 1
	})
	last := first
	for ; last < len(*s) && (*s)[last].from <= n.to; last++ {
		n.from = min(n.from, (*s)[last].from)
		n.to = max(n.to, (*s)[last].to)
	}
	if last == first+1 { // the usual case: a connection goes on
		(*s)[first] = n
		return
	}
	*s = slices.Replace(*s, first, last, n)
}

// cut takes off what begins at or before a position, and returns its end if that
// lies behind the position.
func (s *spans) cut(at int64) (to int64, ok bool) {
	n := 0
	for ; n < len(*s) && (*s)[n].from <= at; n++ {
		to = (*s)[n].to
	}
	*s = slices.Delete(*s, 0, n)
	return to, to > at
}

// end returns where the last of them ends.
func (s spans) end() int64 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].to
}
