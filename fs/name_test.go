package fs

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCleanNameAcceptsWhatEverySystemCanStore(t *testing.T) {
	for _, name := range []string{
		"tool", "tool.tar.gz", "dir/sub/tool", "a b", " a", "-", "~x", "..a", "a..b", ".hidden", ".dlmx", "x/.dlm", "x/CACHEDIR.TAG",
		"dlm~x", "dlm~", "config", "CONSOLE", "con1", "com", "com10", "xcon", "auxiliary.txt", "_con", "é.txt", "日本語", "I❤️Go", "🎉", "×²", "a\u00a0b",
		strings.Repeat("x", maxPart), strings.Repeat("é", 127), strings.Repeat("x/", maxName/2-1) + "xy",
	} {
		clean, err := CleanName(name)
		require.NoError(t, err, "%q", name)
		assert.Equal(t, name, clean)
	}
}

// refused has names by what the reason says of them.
var refused = map[string][]string{
	"is empty":         {""},
	"is absolute":      {"/", "/etc/passwd", "//host/share", "/.."},
	"ends in a slash":  {"a/", "a//", "../", "./"},
	"two slashes":      {"a//b", "a///b"},
	"the part":         {".", "..", "../x", "a/../b", "a/..", "./a", "a/./b", "a/."},
	"control char":     {"a\x00", "a\nb", "\x1b[2J", "a\x7f", "a\u0085", "a\u009b", "\t"},
	"back-slash":       {`a\b`, `..\..\x`, `\\host\share`, `\\?\C`},
	"Windows reserves": {"C:", "C:x", "C:/x", "file:stream", "file::$DATA", "a<", "a>", `a"b`, "a|b", "a?", "a*"},
	"invisible": {
		"a\u202egpj.exe", "a\u200b", "\ufeffa", "a\u200d", "a\u2066", "a\u00ad", "a\U000e0041", "\u3164", "a\u115f", "a\u034fb",
		"a\u2028b", "a\u2029b", "a\uf03ab", "\U000f0000", "a\u0378", "a\ufdd0", ".d\u200clm/x",
	},
	"not valid UTF-8": {"a\xff", "\xc0\xaf", "a\xed\xa0\x80", "a\ufffd", "\xe2\x82"},
	"dot or a space":  {"a.", "a ", "a./b", "a /b", "...", " ", "a. .", ".. ", "con. "},
	"a device": {
		"CON", "con", "Con.txt", "nul", "NUL.tar.gz", "PRN", "aux.h", "dir/aux", "aux/x", "CON .txt", "com1", "COM0", "lpt9.x", "LPT0",
		"COM¹", "com².txt", "LPT³", "CONIN$", "conout$", "conin$.x",
	},
	"more than 255":  {strings.Repeat("x", 256), strings.Repeat("é", 128), "a/" + strings.Repeat("日", 86)},
	"more than 1024": {strings.Repeat("x/", 512) + "x"},
	"for itself": {
		".dlm", ".DLM", ".dLm/x", ".dlm/partial/x", "CACHEDIR.TAG", "cachedir.tag", "CacheDir.TAG/x", ".d\ufe0flm", "CACHED\u0131R.TAG",
		"DLM~1", "dlm~12/format",
	},
}

func TestCleanNameRefusesWithAReason(t *testing.T) {
	for reason, names := range refused {
		for _, name := range names {
			clean, err := CleanName(name)
			require.ErrorIs(t, err, ErrInvalidName, "%q", name)
			assert.Empty(t, clean)
			var refusal *NameError
			require.ErrorAs(t, err, &refusal)
			assert.Equal(t, name, refusal.Name)
			assert.Contains(t, refusal.Reason, reason, "%q", name)
		}
	}
}

func TestNameErrorIsOneShortLine(t *testing.T) {
	assert.EqualError(t, &NameError{Name: "a\nb", Reason: "why"}, `invalid name "a\nb": why`)
	for _, name := range []string{strings.Repeat("é/", 4000), strings.Repeat("\xff", 9000), strings.Repeat("\x80", 300)} {
		_, err := CleanName(name)
		require.Error(t, err)
		assert.Less(t, len(err.Error()), 600)
		assert.NotContains(t, err.Error(), "\n")
	}
}

func TestCleanNameOfASCIINeedsNoMemory(t *testing.T) {
	for _, name := range []string{"tool.tar.gz", "example.com/dir/-/kubectl", "console"} {
		assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = CleanName(name) }), name)
	}
}

// Most names take a shorter way, which lets nothing through.
func TestWhatIsPlainIsRight(t *testing.T) {
	parts := []string{"", ".", "..", ".dlm", ".DLM", "dlm~1", "DLM~12", "dlm~x", "CACHEDIR.TAG", "cachedir.Tag", "con", "Aux.txt", "com1", "a", "a.", "x.y", "-", "+", "a b", "c:", strings.Repeat("x", 201), "é"}
	plain := 0
	for _, one := range parts {
		for _, two := range append(parts, "no second part") {
			name := one + "/" + two
			if two == "no second part" {
				name = one
			}
			if isPlainName(name) {
				plain++
				assert.Empty(t, nameFault(name), name)
			}
		}
	}
	assert.Equal(t, 5+5*11, plain, "which is not nothing")
	assert.True(t, isPlainName(strings.Repeat("x.y/", maxName/4-1)+"xyz"))
	assert.False(t, isPlainName(strings.Repeat("x.y/", maxName/4)+"x"))
}

func FuzzCleanName(f *testing.F) {
	for _, names := range refused {
		for _, name := range names {
			f.Add(name)
		}
	}
	f.Add("dir/tool.tar.gz")
	f.Add("é/日本語")
	f.Fuzz(func(t *testing.T, name string) {
		clean, err := CleanName(name)
		if isPlainName(name) {
			require.Empty(t, nameFault(name))
		}
		if err != nil {
			require.ErrorIs(t, err, ErrInvalidName)
			return
		}
		requireStorable(t, clean)
		require.Equal(t, name, clean)
	})
}

// unstorable finds what no accepted name has.
var unstorable = []*regexp.Regexp{
	regexp.MustCompile(`[\x00-\x1f\x7f\\<>:"|?*\x{80}-\x{9f}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}\x{feff}]`),
	regexp.MustCompile(`^/|//|[./ ]/|[./ ]$`),
	regexp.MustCompile(`(?i)(^|/)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|/|$)`),
	regexp.MustCompile(`(?i)^(\.dlm|cachedir\.tag|dlm~[0-9]+)(/|$)`),
}

// requireStorable asserts of an accepted name what users of it rely on, in other
// words than CleanName's.
func requireStorable(t *testing.T, name string) {
	t.Helper()
	again, err := CleanName(name)
	require.NoError(t, err)
	require.Equal(t, name, again)
	require.True(t, filepath.IsLocal(name))
	root := filepath.FromSlash("/cache/root")
	within, err := filepath.Rel(root, filepath.Join(root, name))
	require.NoError(t, err)
	require.Equal(t, name, filepath.ToSlash(within))
	require.NotContains(t, name, "\ufffd")
	for _, pattern := range unstorable {
		if found := pattern.FindString(name); found != "" {
			t.Fatalf("%q has %q", name, found)
		}
	}
	require.LessOrEqual(t, len(name), 1024)
	for part := range strings.SplitSeq(name, "/") {
		require.LessOrEqual(t, len(part), 255)
	}
}

func BenchmarkCleanName(b *testing.B) {
	for _, bench := range []struct{ kind, name string }{
		{"flat", "tool_linux_amd64.tar.gz"},
		{"tree", "example.com/releases/v1.2/-/kubectl"},
		{"unicode", "résumé/日本語.txt"},
	} {
		b.Run(bench.kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := CleanName(bench.name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
