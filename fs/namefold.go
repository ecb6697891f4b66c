package fs

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold returns a form of the name that it shares with all names that a file
// system may take for the same: those that differ in case or in Unicode form, or
// by characters that are not to be seen. Names that share it are twins.
//
// It is the canonical caseless match of the Unicode Standard (3.13, D145), in
// NFC and without what is ignored by default (UAX 44,
// Default_Ignorable_Code_Point), as ext4, f2fs and APFS compare names in folders
// that ignore case. So é is one however it is composed, and ß, ẞ, ss and SS, σ
// and ς, k and the Kelvin sign are twins. The dotless ı is a twin of i, because
// ZFS compares in upper case; İ is an i with a dot above, and no twin of i.
//
// Compatibility forms (ﬁ and fi, full width) are no twins: no file system takes
// them for one unless it is asked to (ZFS with normalization=formKC).
//
// Bytes that are not UTF-8 count as U+FFFD.
func Fold(name string) string {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return foldUnicode(name)
		}
	}
	return strings.ToLower(name) // no copy when there is nothing to lower
}

func foldUnicode(name string) string {
	seen := strings.Map(seenAs, name)
	return norm.NFC.String(cases.Fold().String(norm.NFD.String(seen)))
}

// seenAs drops what is ignored by default, and maps what case folding leaves.
func seenAs(r rune) rune {
	switch {
	case r < utf8.RuneSelf:
		return r
	case r == 'ı':
		return 'i'
	case unicode.Is(unicode.Cherokee, r):
		return unicode.ToUpper(r) // cases.Fold swaps upper and lower case here
	case unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point):
		return -1
	}
	return r
}
