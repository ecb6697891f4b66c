package fs

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// ErrInvalidName is matched by the refusal of a name.
var ErrInvalidName = errors.New("invalid name")

// NameError is ErrInvalidName with its reason.
type NameError struct{ Name, Reason string }

// shownName is how much of a refused name is repeated.
const shownName = 80

func (e *NameError) Error() string {
	name := e.Name
	if len(name) > shownName {
		name = name[:shownName] + "…"
	}
	return fmt.Sprintf("invalid name %q: %s", name, e.Reason)
}

// Is makes it match ErrInvalidName.
func (e *NameError) Is(target error) bool { return target == ErrInvalidName }

const (
	// maxPart is NAME_MAX of the common Unix file systems, in bytes; Windows,
	// HFS+ and APFS count 255 UTF-16 units or characters, which is never less.
	maxPart = 255
	// maxName leaves room for the directory in PATH_MAX (4096 bytes).
	maxName = 1024
)

// CleanName checks that name, with slashes between its parts, can be stored by
// all common systems and stays in its directory. A valid name comes back as it
// is; others are a [*NameError].
//
// The rules beyond [filepath.IsLocal] are those of "Naming Files, Paths, and
// Namespaces" (Microsoft), which hold on every system here: a cache directory
// may be shared. Control and format characters are refused, too: they make one
// name look like another.
func CleanName(name string) (string, error) {
	if reason := checkName(name); reason != "" {
		return "", &NameError{Name: name, Reason: reason}
	}
	return name, nil
}

func checkName(name string) (reason string) {
	switch {
	case name == "":
		return "it is empty: give one"
	case len(name) > maxName:
		return fmt.Sprintf("it is longer than %d bytes: shorten it", maxName)
	case name[0] == '/':
		return "it is absolute: give one that is relative to the cache directory"
	}
	rest, first := name, true
	for more := true; more; first = false {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if reason := checkPart(part); reason != "" {
			return reason
		}
		if first && isOwn(part) {
			return "the cache keeps its own files there: give another one"
		}
	}
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return "it leads out of the cache directory: give one that stays inside"
	}
	return ""
}

func checkPart(part string) (reason string) {
	switch {
	case part == "":
		return "a part between slashes is empty: remove the slash"
	case part == "." || part == "..":
		return "a part is \".\" or \"..\": write the path without it"
	case len(part) > maxPart:
		return fmt.Sprintf("a part is longer than %d bytes: shorten it", maxPart)
	}
	if reason := checkRunes(part); reason != "" {
		return reason
	}
	if last := part[len(part)-1]; last == '.' || last == ' ' {
		return "a part ends in a dot or a space, which Windows drops: remove it"
	}
	if isDevice(part) {
		return "a part is the name of a device on Windows: give another one"
	}
	return ""
}

func checkRunes(part string) (reason string) {
	for i := 0; i < len(part); {
		c := part[i]
		if c < utf8.RuneSelf {
			if reason := checkASCII(c); reason != "" {
				return reason
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(part[i:])
		if r == utf8.RuneError && size == 1 {
			return "it is not valid UTF-8: write it in UTF-8"
		}
		if unicode.Is(unicode.C, r) { // control, format, surrogate, private use, as in U+202E
			return "it has a control or format character, which can make it look like another name: remove it"
		}
		if unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return "it has a line separator: remove it"
		}
		i += size
	}
	if len(part) > maxPart/3 && len(utf16.Encode([]rune(part))) > maxPart {
		return "a part is longer than 255 UTF-16 units: shorten it"
	}
	return ""
}

func checkASCII(c byte) (reason string) {
	switch {
	case c == 0:
		return "it has a NUL byte: remove it"
	case c < ' ' || c == 0x7f:
		return "it has a control character: remove it"
	case isWindowsSpecial(c):
		return "it has one of \\ < > : \" | ? *, which Windows does not store: replace it"
	}
	return ""
}

func isWindowsSpecial(c byte) bool {
	switch c {
	case '\\', '<', '>', ':', '"', '|', '?', '*':
		return true
	}
	return false
}

// isOwn reports whether the first part of a name is one of the cache's own, also
// for file systems that tell neither case nor Unicode form apart.
func isOwn(part string) bool {
	switch {
	case len(part) == len(ownDir) && strings.EqualFold(part, ownDir):
		return true
	case len(part) == len(tagFile) && strings.EqualFold(part, tagFile):
		return true
	}
	if isASCII(part) {
		return false
	}
	folded := Fold(part)
	return folded == Fold(ownDir) || folded == Fold(tagFile)
}

// isDevice reports whether Windows takes the part for a device: the name up to
// the first dot, less trailing spaces, in any case. COM and LPT take the digits
// 0 to 9 and the superscripts ¹ ² ³.
func isDevice(part string) bool {
	if c := part[0] | 0x20; c != 'c' && c != 'p' && c != 'a' && c != 'n' && c != 'l' {
		return false // no device's first letter: the common case
	}
	base, _, _ := strings.Cut(part, ".")
	base = strings.TrimRight(base, " ")
	switch len(base) {
	case 3:
		return equalAny(base, "con", "prn", "aux", "nul")
	case 4, 5:
		stem, digit := base[:3], base[3:]
		if !equalAny(stem, "com", "lpt") {
			return false
		}
		return (len(digit) == 1 && '0' <= digit[0] && digit[0] <= '9') || digit == "¹" || digit == "²" || digit == "³"
	case 6, 7:
		return equalAny(base, "conin$", "conout$")
	}
	return false
}

func equalAny(s string, names ...string) bool {
	for _, name := range names {
		if strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Fold returns the form under which names are equal that a file system may take
// for one: case folded (Unicode, full case folding, CaseFolding.txt status C and
// F) and in NFC. Full folding makes ß and ss equal, which no common file system
// does; refusing one name too many is the cheaper mistake.
func Fold(name string) string {
	if isASCII(name) {
		return strings.ToLower(name)
	}
	// Folding can make sequences that compose otherwise, and composing ones that
	// fold: a second round reaches the fixed point, and the bound is for safety.
	for range 4 {
		folded := norm.NFC.String(cases.Fold().String(norm.NFD.String(name)))
		if folded == name {
			break
		}
		name = folded
	}
	return name
}
