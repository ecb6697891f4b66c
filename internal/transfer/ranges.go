package transfer

import "slices"

// Range is a part of a file.
type Range struct {
	From   int64  `json:"from"` // bytes
	To     int64  `json:"to"`   // the first byte that is not in it
	CRC32C uint32 `json:"crc32c"`
}

// Stored returns what is stored, in order and without overlaps.
func (r Result) Stored() []Range {
	if r.Ranges != nil || r.N == 0 {
		return r.Ranges
	}
	return []Range{{To: r.N, CRC32C: r.CRC32C}}
}

// WithRanges returns the result of which these parts are stored.
func (r Result) WithRanges(stored []Range) Result {
	stored = mergeRanges(stored)
	r.N, r.CRC32C, r.Ranges = 0, 0, nil
	if len(stored) == 0 {
		return r
	}
	if len(stored) == 1 && stored[0].From == 0 {
		r.N, r.CRC32C = stored[0].To, stored[0].CRC32C
		return r
	}
	for _, s := range stored {
		r.N += s.To - s.From
	}
	r.Ranges = stored
	return r
}

// next returns the first byte that is not stored.
func (r Result) next() int64 {
	switch {
	case r.Ranges == nil:
		return r.N
	case r.Ranges[0].From == 0:
		return r.Ranges[0].To
	}
	return 0
}

// isAll reports whether it is everything that there is.
func (r Result) isAll() bool { return r.Exact && r.N == r.Total && r.N > 0 }

// ask returns the first byte to ask for. Of what is all there that is the last
// one: a 206 with it proves that this is still the current version, while a 416
// comes from most servers without a validator.
func (r Result) ask() int64 {
	if r.isAll() {
		return r.N - 1
	}
	return r.next()
}

// gap returns the first part that is not stored; to is -1 if that is open.
func (r Result) gap() (from, to int64) {
	from, to = r.next(), -1
	for _, s := range r.Ranges {
		if s.From > from {
			return from, s.From
		}
	}
	return from, to
}

// mergeRanges joins those that touch. The list has to be in order.
func mergeRanges(list []Range) []Range {
	var merged []Range
	for _, r := range list {
		if n := len(merged); n > 0 && merged[n-1].To == r.From {
			last := &merged[n-1]
			last.CRC32C = combineCRC(last.CRC32C, r.CRC32C, r.To-r.From)
			last.To = r.To
			continue
		}
		merged = append(merged, r)
	}
	return slices.Clip(merged)
}
