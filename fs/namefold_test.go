package fs

import (
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
)

func TestFoldMakesTwinsEqual(t *testing.T) {
	for _, twins := range [][2]string{
		{"Tool.TAR.gz", "tool.tar.GZ"},
		{"caf\u00e9", "cafe\u0301"},
		{"CAF\u00c9", "cafe\u0301"},
		{"straße", "STRASSE"},
		{"STRAẞE", "strasse"},
		{"ΟΔΟΣ", "οδος"},
		{"οδοσ", "οδος"},
		{"\u212a", "k"}, // Kelvin sign
		{"\u212b", "å"}, // Angstrom sign
		{"µ", "μ"},      // micro sign, Greek letter
		{"ſ", "S"},
		{"ı", "I"},
		{"İ", "i\u0307"},
		{"❤\ufe0f", "❤"},
		{"a\u200db", "ab"},
		{"ᾳ", "αι"}, // full folding, as ext4 has it
		{"q\u0323\u0307", "q\u0307\u0323"},
		{"각", "\u1100\u1161\u11a8"},
		{"Ꮝ", "ꮝ"}, // Cherokee
		{"Ᏸ", "ᏸ"},
		{"\xff", "\xfe"},
	} {
		assert.Equal(t, Fold(twins[0]), Fold(twins[1]), "%q %q", twins[0], twins[1])
	}
}

func TestFoldKeepsOthersApart(t *testing.T) {
	for _, others := range [][2]string{
		{"a", "b"}, {"e", "é"}, {"a/b", "ab"}, {"İ", "i"}, {"ﬁ①", "fi1"}, {"²", "2"}, {"а", "a"}, {"tool", "tool "}, {"σ", "s"},
	} {
		assert.NotEqual(t, Fold(others[0]), Fold(others[1]), "%q %q", others[0], others[1])
	}
}

// everyCharacter yields all but those of the large blocks in which characters
// have neither case nor another form: ideographs (most of them), private ones.
func everyCharacter(yield func(rune) bool) {
	for r := range unicode.MaxRune + 1 {
		if unicode.In(r, unicode.Unified_Ideograph, unicode.Co) || r > 0x2fa1f && r < 0xe0000 || r > 0xe0fff {
			continue
		}
		if !yield(r) {
			return
		}
	}
}

// Every character by itself, in either case, composed or not.
func TestFoldIsStableForEveryCharacter(t *testing.T) {
	for r := range everyCharacter {
		s := string(r)
		folded := Fold(s)
		if again := Fold(folded); again != folded {
			t.Errorf("%U folds to %q, and that to %q", r, folded, again)
		}
		for _, twin := range []string{norm.NFC.String(s), norm.NFD.String(s), string(unicode.ToUpper(r)), string(unicode.SimpleFold(r))} {
			if Fold(twin) != folded {
				t.Errorf("%U folds to %q, its twin %q to %q", r, folded, twin, Fold(twin))
			}
		}
		// İ alone: by itself it becomes i, of which its dot is a part.
		if lower := string(unicode.ToLower(r)); r != 'İ' && Fold(lower) != folded {
			t.Errorf("%U folds to %q, its lower case %q to %q", r, folded, lower, Fold(lower))
		}
	}
}

func TestFoldOfLowerASCIINeedsNoMemory(t *testing.T) {
	assert.Zero(t, testing.AllocsPerRun(100, func() { Fold("example.com/tool-1.2.tar.gz") }))
}

func FuzzFold(f *testing.F) {
	for _, name := range []string{"Tool", "straße/É", "e\u0301", "ΟΔΟΣ", "\u212a\u0345\u0301", "İı", "\xff\xfe", "\u1fb3\u0313", "a\u034f\u0301", "각", "e" + strings.Repeat("\u0301", 40) + "\u0323"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		folded := Fold(name)
		require.Equal(t, folded, Fold(folded))
		require.Equal(t, folded, Fold(norm.NFC.String(name)))
		require.Equal(t, folded, Fold(norm.NFD.String(name)))
		if _, err := CleanName(name); err == nil {
			require.NotEmpty(t, folded)
		}
	})
}

func BenchmarkFold(b *testing.B) {
	for _, bench := range []struct{ kind, name string }{
		{"lower", "tool_linux_amd64.tar.gz"},
		{"upper", "Tool_Linux_amd64.tar.gz"},
		{"unicode", "résumé.txt"},
	} {
		b.Run(bench.kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Fold(bench.name)
			}
		})
	}
}
