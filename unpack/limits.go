package unpack

import (
	"fmt"
	"io"
	"math"

	"github.com/dustin/go-humanize"
)

// limits counts what an archive comes to. All that it brings counts, also what is
// passed over: it takes time as well.
type limits struct {
	entries, maxEntries int64
	names, maxNames     int64 // bytes of names and targets, which are kept in memory
	bytes               int64
	maxBytes            int64 // by MaxBytes
	maxEntryBytes       int64
	maxByRatio          int64 // by MaxRatio, of this archive
	ratio               int64
}

// none is a limit that nothing reaches.
const none = int64(math.MaxInt64)

func newLimits(o Options, archiveSize int64) *limits {
	l := &limits{
		maxEntries: limit(int64(o.MaxEntries), defaultEntries),
		maxBytes:   limit(o.MaxBytes, defaultBytes),
		ratio:      limit(int64(o.MaxRatio), defaultRatio),
	}
	l.maxNames = roomFor(l.maxEntries, 256)
	l.maxEntryBytes = l.maxBytes
	if o.MaxEntryBytes > 0 {
		l.maxEntryBytes = o.MaxEntryBytes
	}
	l.maxByRatio = none
	if archiveSize < none/l.ratio {
		l.maxByRatio = max(harmless, archiveSize*l.ratio)
	}
	return l
}

// limit is a field of Options, with its default.
func limit(given, byDefault int64) int64 {
	switch {
	case given < 0:
		return none
	case given == 0:
		return byDefault
	}
	return given
}

// roomFor is what so many entries may have in memory, in bytes, when each has so many
// on average, with some more for a few large ones.
func roomFor(entries, each int64) int64 {
	const atLeast = 1 << 20
	if entries > (none-atLeast)/each {
		return none
	}
	return atLeast + entries*each
}

// addEntry counts one more, with the target if it is a link.
func (l *limits) addEntry(name, target string) error {
	l.entries++
	l.names += int64(len(name) + len(target))
	if l.names > l.maxNames {
		return &LimitError{
			Entry: name, Limit: "MaxEntries", Max: l.maxEntries,
			reason: "the names come to more than " + show(l.maxNames),
		}
	}
	if l.entries <= l.maxEntries {
		return nil
	}
	return &LimitError{
		Entry: name, Limit: "MaxEntries", Max: l.maxEntries,
		reason: fmt.Sprintf("there are more than %d entries", l.maxEntries),
	}
}

// addBytes counts n more bytes of an entry that has size bytes with them.
func (l *limits) addBytes(name string, n, size int64) error {
	exceeded := func(option string, most int64, format string, args ...any) error {
		return &LimitError{Entry: name, Limit: option, Max: most, reason: fmt.Sprintf(format, args...)}
	}
	if size > l.maxEntryBytes {
		if l.maxEntryBytes == l.maxBytes {
			return exceeded("MaxBytes", l.maxBytes, "the archive comes to more than %s", show(l.maxBytes))
		}
		return exceeded("MaxEntryBytes", l.maxEntryBytes, "it comes to more than %s", show(l.maxEntryBytes))
	}
	if n > l.maxBytes-l.bytes {
		return exceeded("MaxBytes", l.maxBytes, "the archive comes to more than %s", show(l.maxBytes))
	}
	if n > l.maxByRatio-l.bytes {
		return exceeded("MaxRatio", l.ratio, "the archive comes to more than %d times its size, as bombs do", l.ratio)
	}
	l.bytes += n
	return nil
}

func show(bytes int64) string { return humanize.IBytes(uint64(bytes)) }

const (
	// headerRoom is what the headers of one entry may have, in bytes: a tar header, one
	// of extended attributes, and both padded; names and targets are short.
	headerRoom = 16 << 10
	// streamRoom is what a stream may have beside entries: tar pads to 10 KiB, or to
	// what it was told.
	streamRoom = 2 << 20
)

// metered is a decompressed stream. It ends with an error when it brings much more
// than the limits allow for what entries there were: headers without end, say, which
// no entry counts. It remembers its last block.
type metered struct {
	r      io.Reader
	limits *limits
	read   int64
	tail   [headBytes]byte
}

func (m *metered) Read(b []byte) (int, error) {
	if most := min(m.limits.maxBytes, m.limits.maxByRatio); m.read > most && m.read-most > streamRoom+headerRoom*m.limits.entries {
		option, of := "MaxBytes", m.limits.maxBytes
		if most < m.limits.maxBytes {
			option, of = "MaxRatio", m.limits.ratio
		}
		return 0, &LimitError{Limit: option, Max: of, reason: "the decompressed archive comes to more than " + show(most) + " and what headers need"}
	}
	n, err := m.r.Read(b)
	m.read += int64(n)
	if n >= len(m.tail) {
		copy(m.tail[:], b[n-len(m.tail):n])
	} else if n > 0 {
		copy(m.tail[:], m.tail[n:])
		copy(m.tail[len(m.tail)-n:], b[:n])
	}
	return n, err
}

// endsInZeros reports whether the last block that was read is one of zeros.
func (m *metered) endsInZeros() bool { return m.tail == [headBytes]byte{} }
