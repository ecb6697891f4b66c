package unpack

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Errors to decide by, with [errors.Is].
var (
	// ErrFormat is matched when the file is no archive that can be unpacked.
	ErrFormat = errors.New("not an archive that can be unpacked")
	// ErrRefused is matched when an entry would reach out of the folder, or is something
	// that an archive may not bring.
	ErrRefused = errors.New("archive entry refused")
	// ErrLimit is matched when an archive exceeds a limit.
	ErrLimit = errors.New("archive exceeds a limit")
	// ErrDamaged is matched when an archive is cut off or damaged.
	ErrDamaged = errors.New("archive damaged")
)

// EntryError is the refusal of an entry; it matches [ErrRefused].
type EntryError struct {
	Entry  string // its name, as the archive has it
	Reason string // what is wrong with it
}

func (e *EntryError) Error() string {
	return fmt.Sprintf("entry %s is refused: %s; ask for an archive without it", quoted(e.Entry), e.Reason)
}

// Is reports whether target is [ErrRefused].
func (e *EntryError) Is(target error) bool { return target == ErrRefused }

// LimitError is a limit that is exceeded; it matches [ErrLimit].
type LimitError struct {
	Entry  string // with which it was; "" when it is not one entry
	Limit  string // the field of Options that sets it; "" when none does
	Max    int64  // entries, bytes, or times
	reason string
}

func (e *LimitError) Error() string {
	text := e.reason
	if e.Entry != "" {
		text = "entry " + quoted(e.Entry) + ": " + text
	}
	if e.Limit != "" {
		text += "; raise " + e.Limit + " if you trust the archive"
	}
	return text
}

// Is reports whether target is [ErrLimit].
func (e *LimitError) Is(target error) bool { return target == ErrLimit }

// DamagedError says where an archive is damaged; it matches [ErrDamaged].
type DamagedError struct {
	Entry  string // that was being read; "" before the first and after the last
	Offset int64  // up to which the archive had been read, in bytes; of a zip entry, where its data begin
	Err    error
}

func (e *DamagedError) Error() string {
	where := fmt.Sprintf("near byte %d", e.Offset)
	if e.Entry != "" {
		where += ", at entry " + quoted(e.Entry)
	}
	return fmt.Sprintf("the archive is damaged or cut off %s: %v; fetch it again", where, e.Err)
}

// Unwrap returns the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// Is reports whether target is [ErrDamaged].
func (e *DamagedError) Is(target error) bool { return target == ErrDamaged }

// maxShown is how much of a name an error repeats, in bytes.
const maxShown = 120

// quoted shows what an archive says in one line, without control characters, not too
// long.
func quoted(name string) string {
	if len(name) > maxShown {
		end := maxShown
		for end > 0 && !utf8.RuneStart(name[end]) {
			end--
		}
		name = name[:end] + "…"
	}
	return fmt.Sprintf("%q", name)
}
