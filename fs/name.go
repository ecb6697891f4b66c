package fs

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxPart is what one part of a name may have in bytes of UTF-8: NAME_MAX of
	// the Unix file systems. NTFS, exFAT and APFS count 255 UTF-16 units or
	// characters, and a text never has more of those than bytes.
	maxPart = 255
	// maxName is what a whole name may have in bytes: PATH_MAX of macOS, the
	// shortest in use (Linux: 4096; Windows: 32767 units).
	maxName = 1024
	// maxShown is how much of a name an error repeats, in bytes.
	maxShown = 80
)

// ErrInvalidName is matched by the refusal of a name.
var ErrInvalidName = errors.New("invalid name")

// NameError is the refusal of a name; it matches [ErrInvalidName].
type NameError struct {
	Name   string // as given
	Reason string // what is wrong with it, and what to do
}

func (e *NameError) Error() string { return "invalid name " + quoted(e.Name) + ": " + e.Reason }

// Is reports whether target is [ErrInvalidName].
func (e *NameError) Is(target error) bool { return target == ErrInvalidName }

// quoted shows a name in one line, without control characters, not too long.
func quoted(name string) string {
	if len(name) > maxShown {
		name = cut(name, maxShown) + "…"
	}
	return fmt.Sprintf("%q", name)
}

// cut returns at most limit bytes of s and splits no character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// CleanName checks the name of a file: a relative path with slashes. A valid
// name comes back as it is; any other is a [*NameError].
//
// A name is valid if every common system can store it and none reads it as
// something else, so that a directory can move between systems and a name is the
// same file everywhere. Refused are
//
//   - what leads, or may lead, out of the directory: absolute names, "." and "..",
//     and all that [filepath.IsLocal] refuses
//   - what Windows reserves or changes ("Naming Files, Paths, and Namespaces",
//     Microsoft): control characters, \ < > : " | ? *, the devices CON, NUL, COM1
//     and so on, a dot or a space at the end of a part
//   - what is not UTF-8, is unassigned (APFS stores none of it), private (Cygwin,
//     WSL and SMB clients mean \ : * by U+F000 to U+F0FF), or not to be seen:
//     format characters, such as U+202E and the zero-width ones, make a name look
//     like another (Unicode TR 36, 3.1 and 3.2), and HFS+ ignores them
//   - parts over 255 bytes, and names over 1024
//   - .dlm and CACHEDIR.TAG as the first part, in any spelling that a file system
//     may take for them: they belong to the cache itself
func CleanName(name string) (string, error) {
	if isPlainName(name) {
		return name, nil
	}
	if reason := nameFault(name); reason != "" {
		return "", &NameError{Name: name, Reason: reason}
	}
	return name, nil
}

// isPlainName reports whether a name is made of nothing that could be wrong: most are.
func isPlainName(name string) bool {
	part, rest, more := strings.Cut(name, "/")
	if !isPlainPart(part, plainChars) || isOwn(part) || len(name) > maxName {
		return false
	}
	for more {
		part, rest, more = strings.Cut(rest, "/")
		if !isPlainPart(part, plainChars) {
			return false
		}
	}
	return true
}

// nameFault returns what is wrong with a name, "" for nothing.
func nameFault(name string) string {
	switch {
	case name == "":
		return "it is empty; give one such as dir/file"
	case len(name) > maxName:
		return fmt.Sprintf("it has %d bytes, more than %d; shorten it", len(name), maxName)
	case name[0] == '/':
		return "it is absolute; give a path within the cache directory, without the / before it"
	case name[len(name)-1] == '/':
		return "it ends in a slash, as folders do; add the file's name"
	}
	if reason := characterFault(name); reason != "" {
		return reason
	}
	rest, more := name, true
	for more {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if reason := partFault(part); reason != "" {
			return reason
		}
	}
	if first, _, _ := strings.Cut(name, "/"); isOwn(first) {
		return "the cache keeps " + ownDir + " and " + tagFile + " for itself; choose another name"
	}
	if runtime.GOOS != "linux" && !filepath.IsLocal(filepath.FromSlash(name)) { // there, what is checked above is all
		return "it may lead out of the cache directory; choose another name"
	}
	return ""
}

// characterFault returns what is wrong with the characters of a name.
func characterFault(name string) string {
	for i := range len(name) {
		if c := name[i]; c >= utf8.RuneSelf || forbiddenASCII[c] {
			return firstFault(name[i:])
		}
	}
	return ""
}

// firstFault explains the first character in s that is refused.
func firstFault(s string) string {
	for _, r := range s {
		switch {
		case !forbidden(r):
		case r == utf8.RuneError:
			return "it is not valid UTF-8, or has U+FFFD in place of what was not; write it in UTF-8"
		case r == '\\':
			return "it has a back-slash; separate folders by /"
		case unicode.IsControl(r):
			return fmt.Sprintf("it has the control character %U; remove it", r)
		case r < utf8.RuneSelf:
			return fmt.Sprintf("it has %q, which Windows reserves; replace it", r)
		default:
			return fmt.Sprintf("it has %U, which is invisible, private or unassigned, so that the name can be taken for another; remove it", r)
		}
	}
	return ""
}

// forbiddenASCII holds what [forbidden] says of ASCII, for speed.
var forbiddenASCII = func() (table [utf8.RuneSelf]bool) {
	for c := range table {
		table[c] = c < ' ' || c == 0x7f || strings.ContainsRune(`\<>:"|?*`, rune(c))
	}
	return table
}()

// forbidden reports whether no part of a name may have r.
func forbidden(r rune) bool {
	if r < utf8.RuneSelf {
		return forbiddenASCII[r]
	}
	// Graphic is neither control, format, surrogate, private use, unassigned nor a
	// line separator. Fillers and the like are letters that nobody sees.
	return r == utf8.RuneError || !unicode.IsGraphic(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// partFault returns what is wrong with one part of a name, given that its
// characters are right.
func partFault(part string) string {
	switch {
	case part == "":
		return "it has two slashes in a row; write one"
	case part == "." || part == "..":
		return "it has the part " + quoted(part) + "; write the path without it"
	case len(part) > maxPart:
		return fmt.Sprintf("its part %s has %d bytes, more than %d; shorten it", quoted(part), len(part), maxPart)
	case part[len(part)-1] == '.' || part[len(part)-1] == ' ':
		return "its part " + quoted(part) + " ends in a dot or a space, which Windows drops; remove it"
	case isDevice(part):
		return "its part " + quoted(part) + " means a device on Windows; put something before it"
	}
	return ""
}

// isDevice reports whether Windows takes the part for a device: one of the
// reserved names up to the first dot, in any case, and spaces after it. The
// superscripts ¹ ² ³ count as digits there. COM0 and LPT0 have been reserved in
// some versions of the documentation.
func isDevice(part string) bool {
	switch part[0] | 0x20 { // lower case; most parts are done here
	case 'a', 'c', 'l', 'n', 'p':
	default:
		return false
	}
	base, _, _ := strings.Cut(part, ".")
	base = strings.TrimRight(base, " ")
	if len(base) < 3 {
		return false
	}
	switch start, end := base[:3], base[3:]; {
	case isAny(start, "com", "lpt"):
		return len(end) == 1 && isDigit(end[0]) || end == "¹" || end == "²" || end == "³"
	case isAny(start, "con"):
		return end == "" || isAny(end, "in$", "out$")
	default:
		return end == "" && isAny(start, "prn", "aux", "nul")
	}
}

func isAny(s string, words ...string) bool {
	for _, word := range words {
		if len(s) == len(word) && strings.EqualFold(s, word) {
			return true
		}
	}
	return false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isOwn reports whether a file system may take the first part of a name for one
// that the cache keeps for itself. DLM~1 and the like are the short names that
// Windows gives .dlm ("Naming Files, Paths, and Namespaces", 8.3 aliases).
func isOwn(first string) bool {
	for i := range len(first) {
		if first[i] >= utf8.RuneSelf {
			first = Fold(first)
			break
		}
	}
	if first == "" {
		return false
	}
	switch first[0] | 0x20 { // lower case; most are done here
	case '.', 'c', 'd':
	default:
		return false
	}
	if isAny(first, ownDir, tagFile) {
		return true
	}
	const short = "dlm~"
	return len(first) > len(short) && isAny(first[:len(short)], short) && strings.Trim(first[len(short):], "0123456789") == ""
}
