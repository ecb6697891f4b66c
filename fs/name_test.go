package fs

import (
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestValidNamesComeBackAsTheyAre(t *testing.T) {
	for _, name := range []string{
		"a", "tool.tar.gz", "sub/folder/file", "a b", ".hidden", "-dash", "ünï/日本語.txt", "con1", "CONX", "commit",
		"nulls", "..a", "a..b", "...a", "com", "x.dlm", "sub/.dlm/x", "sub/CACHEDIR.TAG", "emoji 🎉",
		strings.Repeat("a", 255), strings.Repeat("ü", 127), strings.Repeat("a/", 511) + "a", "a\u00a0b", "aux2.txt", "lpt10",
	} {
		got, err := CleanName(name)
		require.NoError(t, err, "%q", name)
		assert.Equal(t, name, got)
	}
}

func TestInvalidNamesAreRefusedWithAReason(t *testing.T) {
	for name, reason := range map[string]string{
		"": "empty", "/": "absolute", "/etc/passwd": "absolute", "a//b": "empty", "a/": "empty", "//host/share": "absolute",
		".": "\"..\"", "..": "\"..\"", "../x": "\"..\"", "a/../b": "\"..\"", "a/./b": "\"..\"",
		"a\x00b": "NUL", "a\nb": "control", "\x1b[2J": "control", "a\x7f": "control", "a\u0085b": "control",
		"a\u202eb": "control", "a\u200bb": "control", "a\ufeffb": "control", "a\u2028b": "line separator",
		`a\b`: "Windows", `..\x`: "Windows", "C:": "Windows", "C:x": "Windows", `C:\x`: "Windows", "file:stream": "Windows",
		"a<b": "Windows", "a>b": "Windows", `a"b`: "Windows", "a|b": "Windows", "a?b": "Windows", "a*b": "Windows",
		"CON": "device", "con": "device", "sub/Con": "device", "con.txt": "device", "CON .txt": "device", "nul.tar.gz": "device",
		"PRN": "device", "AUX": "device", "COM1": "device", "com9.log": "device", "COM0": "device", "LPT1": "device",
		"COM¹": "device", "lpt³.x": "device", "CONIN$": "device", "conout$": "device",
		"a.": "dot or a space", "a ": "dot or a space", "sub./x": "dot or a space", "sub /x": "dot or a space", "...": "dot or a space",
		strings.Repeat("a", 256): "255", strings.Repeat("ü", 128): "255", strings.Repeat("a/", 600) + "a": "1024",
		"a\xffb": "UTF-8", ".dlm": "own files", ".dlm/x": "own files", ".DLM/x": "own files", ".dlm/partial/x.part": "own files",
		"CACHEDIR.TAG": "own files", "cachedir.tag": "own files",
	} {
		_, err := CleanName(name)
		require.ErrorIs(t, err, ErrInvalidName, "%q", name)
		assert.ErrorContains(t, err, reason, "%q", name)
		refused, ok := errors.AsType[*NameError](err)
		require.True(t, ok)
		assert.Equal(t, name, refused.Name)
		assert.Less(t, len(err.Error()), 500)
	}
}

func TestFoldMakesTwinsEqual(t *testing.T) {
	for _, twins := range [][2]string{
		{"Tool", "tool"}, {"caf\u00e9", "cafe\u0301"}, {"CAF\u00c9", "cafe\u0301"}, {"ΣΑΣ", "σας"},
		{"\u212a", "k"}, {"stra\u00dfe", "STRASSE"}, {"\ufb01", "FI"}, {"A/B", "a/b"},
	} {
		assert.Equal(t, Fold(twins[0]), Fold(twins[1]), "%q %q", twins[0], twins[1])
	}
	for _, others := range [][2]string{{"tool", "tool2"}, {"a/b", "a_b"}, {"\u0131", "i"}, {"é", "e"}} {
		assert.NotEqual(t, Fold(others[0]), Fold(others[1]))
	}
}

func TestFlatName(t *testing.T) {
	long := strings.Repeat("x", 300)
	for raw, want := range map[string]string{
		"https://h/tool.tgz": "tool.tgz", "https://h/a/b/tool?x=1#f": "tool", "https://h/a%20b.txt": "a b.txt",
		"https://h/a%2Fb": "a_b", "https://h/a%2F..%2Fb": "a_.._b", "https://h/con": "_con", "https://h/nul.txt": "_nul.txt",
		"https://h/a:b": "a_b", "https://h/trailing.": "trailing_", "https://h/%FF": "_", "https://h/a%00b": "a_b",
		"https://h/%E2%80%AEgpj.exe": "_gpj.exe", "https://h/...": "_",
	} {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		got, err := FlatName(u)
		require.NoError(t, err, raw)
		assert.Equal(t, want, got, raw)
	}
	u, err := url.Parse("https://h/" + long + ".tar.gz")
	require.NoError(t, err)
	got, err := FlatName(u)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(got), maxPart)
	assert.True(t, strings.HasSuffix(got, ".tar.gz"))
	for _, raw := range []string{
		"https://h", "https://h/", "https://h/a/", "https://h/..", "https://h/a/%2e%2e", "https://h/.", "https://h/?q=x",
		"https://h/.dlm", "https://h/.DLM", "https://h/CACHEDIR.TAG",
	} {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		_, err = FlatName(u)
		require.ErrorIs(t, err, ErrInvalidName, raw)
		assert.ErrorContains(t, err, "give a name", raw)
	}
}

func treeName(t testing.TB, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	name, err := TreeName(u)
	require.NoError(t, err, raw)
	return name
}

func TestTreeNameKeepsWhatItCan(t *testing.T) {
	for raw, want := range map[string]string{
		"https://example.com/dir/tool.tgz":             "example.com/dir/tool.tgz",
		"https://EXAMPLE.com:443/dir/tool.tgz":         "example.com/dir/tool.tgz",
		"https://user:secret@example.com/tool.tgz#f":   "example.com/tool.tgz",
		"http://example.com/dir/tool.tgz":              "example.com+80/dir/tool.tgz",
		"http://127.0.0.1:8080/tool.tgz":               "127.0.0.1+8080/tool.tgz",
		"https://example.com:8443/tool.tgz":            "example.com+tls8443/tool.tgz",
		"https://example.com/v1.2/linux/kubectl":       "example.com/v1.2/linux/-/kubectl",
		"https://example.com/foo.js/tool.tgz":          "example.com/foo.js+/tool.tgz",
		"https://example.com/-/x.tgz":                  "example.com/-+/x.tgz",
		"https://example.com/c++/x.tgz":                "example.com/c+++/x.tgz",
		"https://example.com/a%20b/c%20d.txt":          "example.com/a b/c d.txt",
		"https://example.com/Tool_Linux_x86_64.tar.gz": "example.com/Tool_Linux_x86_64.tar.gz",
	} {
		assert.Equal(t, want, treeName(t, raw), raw)
	}
	for raw, want := range map[string][2]string{
		"https://example.com/tool.tar.gz?v=1": {"example.com/tool-h", ".tar.gz"},
		"https://example.com/":                {"example.com/index-h", ".html"},
		"https://example.com/a/":              {"example.com/a/index-h", ".html"},
		"https://example.com/con":             {"example.com/-/_con-h", ""},
		"https://example.com/%41.txt":         {"example.com/A-h", ".txt"},
		"https://[::1]/x.txt":                 {"__1/x-h", ".txt"},
		"https://.dlm/x.txt":                  {".dlm_/x-h", ".txt"},
		"https://example.com/a//b.txt":        {"example.com/a/_/b-h", ".txt"},
		"https://example.com/../b.txt":        {"example.com/_/b-h", ".txt"},
	} {
		got := treeName(t, raw)
		assert.True(t, strings.HasPrefix(got, want[0]) && strings.HasSuffix(got, want[1]), "%s: %s", raw, got)
	}
}

// awkward are URLs of which many would have one name if nobody took care.
var awkward = []string{
	"https://h", "https://h/", "https://h/?", "https://h/?a", "https://h/?b", "https://h/index.html", "https://h//", "https://h///",
	"https://h/a", "https://h/a/", "https://h/a/b", "https://h/a/b/", "https://h/a/b/c", "https://h/a?x=1", "https://h/a?x=2",
	"http://h/a", "http://h:443/a", "https://h:80/a", "http://h:8080/a", "https://h:8080/a", "https://h+8080/a", "https://h+80/a",
	"https://h/-/a", "https://h/-", "https://h/-/-", "https://h/-+/a", "https://h/-+", "https://h/a+/b", "https://h/a.b", "https://h/a.b/c",
	"https://h/a.b+/c", "https://h/a.b+", "https://h/a.b/c.d", "https://h/a.b+/c.d", "https://h/a.b++/c.d", "https://h/%61", "https://h/a%2Fb",
	"https://h/a%5Cb", "https://h/a_b", "https://h/a%3Ab", "https://h/a:b", "https://h/a%2Cb", "https://h/a,b", "https://h/a%252Cb",
	"https://h/con", "https://h/_con", "https://h/x.", "https://h/x_", "https://h/x%20", "https://h/x%2E", "https://h/./x", "https://h/../x", "https://h/_/x",
	"https://h/" + strings.Repeat("x", 500), "https://h/" + strings.Repeat("x", 501), "https://h/" + strings.Repeat("deep/", 400) + "x.tgz",
	"https://h/" + strings.Repeat("deep/", 401) + "x.tgz", "https://h/" + strings.Repeat("deep/", 401) + "x", "https://.dlm/x", "https://.dlm_/x", "https://[::1]/x", "https://__1/x",
	"https://h/%FF", "https://h/_", "https://h/%FE", "https://h/%00", "https://h/tool-h0123456789abcdef.tgz", "https://h/tool.tgz",
}

func TestTreeNamesNeverMeet(t *testing.T) {
	all := append([]string(nil), awkward...)
	for _, raw := range awkward { // the names that hashing made, asked for as such
		name := treeName(t, raw)
		all = append(all, "https://h/"+(&url.URL{Path: strings.TrimPrefix(name, "h/")}).EscapedPath())
	}
	for i, a := range all {
		for _, b := range all[i+1:] {
			requireApart(t, a, b)
		}
	}
}

// requireApart asserts that the names of two URLs can exist side by side.
func requireApart(t testing.TB, a, b string) {
	t.Helper()
	ua, err := url.Parse(a)
	require.NoError(t, err)
	ub, err := url.Parse(b)
	require.NoError(t, err)
	if Canonical(ua) == Canonical(ub) {
		return
	}
	na, nb := treeName(t, a), treeName(t, b)
	if na == nb || strings.HasPrefix(na, nb+"/") || strings.HasPrefix(nb, na+"/") {
		t.Fatalf("%s and %s meet: %s, %s", a, b, na, nb)
	}
}

func FuzzCleanName(f *testing.F) {
	for _, seed := range []string{"a/b", "../x", "con.txt", "a\u202eb", "C:x", ".dlm/x", "x.", "\xff"} {
		f.Add(seed)
	}
	root := filepath.FromSlash("/root/dir")
	f.Fuzz(func(t *testing.T, name string) {
		clean, err := CleanName(name)
		if err != nil {
			return
		}
		if clean != name || !filepath.IsLocal(name) {
			t.Fatalf("%q became %q", name, clean)
		}
		if joined := filepath.Join(root, filepath.FromSlash(name)); !strings.HasPrefix(joined, root+string(filepath.Separator)) {
			t.Fatalf("%q leads to %q", name, joined)
		}
		if strings.ContainsAny(name, "\\:*?\"<>|\x00") || strings.HasPrefix(Fold(name)+"/", ".dlm/") {
			t.Fatalf("%q is not portable", name)
		}
	})
}

func FuzzFold(f *testing.F) {
	for _, seed := range []string{"Tool", "cafe\u0301", "ΐ", "\u0345\u0301", "İ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if once := Fold(name); Fold(once) != once {
			t.Fatalf("%q folds to %q and that to %q", name, once, Fold(once))
		}
	})
}

func FuzzFlatName(f *testing.F) {
	for _, seed := range []string{"https://h/a%2F..", "http://h/con", "http://h/%FF.", "http://h/ x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.Parse(raw)
		if err != nil {
			return
		}
		name, err := FlatName(u)
		if err != nil {
			return
		}
		if _, err := CleanName(name); err != nil || strings.Contains(name, "/") {
			t.Fatalf("%q became %q: %v", raw, name, err)
		}
	})
}

func FuzzTreeName(f *testing.F) {
	for i, seed := range awkward[1:] {
		f.Add(seed, awkward[i])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, raw := range []string{a, b} {
			u, err := url.Parse(raw)
			if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
				return
			}
		}
		requireApart(t, a, b)
	})
}

func BenchmarkCleanName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := CleanName("tool-linux-amd64.tar.gz"); err != nil {
			b.Fatal(err)
		}
	}
}
