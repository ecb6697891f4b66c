package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestManifestIsFilledInForAPlatform(t *testing.T) {
	m, err := parseManifest("dlm.toml", []byte(`
artifact.z = { url = "https://example.com/{{{os}}}" }

[artifact.tool]
version = "1.2"
url = "https://example.com/v{version}/{name}_{os}_{arch}{exe}"
mirrors = ["https://one.example.org/{arch}", "https://two.example.org/{version}"]
os = { linux = "Linux", windows = "Win" }
checksum.'linux/amd64' = "sha256:5891B5B522D5DF086D0FF0B110FBD9D21BB4FC7163AF34D08286A2E846F6BE03"
checksum."windows/arm64" = "sums/{version}"
to = "bin/{os}/"
mode = 0o755
[artifact.tool.arch]
amd64 = "x86_64"
`))
	require.NoError(t, err)
	m.dir = filepath.FromSlash("/project")
	items, err := m.items(nil, platform{"linux", "amd64"})
	require.NoError(t, err)
	require.Len(t, items, 2)
	require.Equal(t, "https://example.com/{linux}", items[0].url, "the order is that of the lines")
	it := items[1]
	require.Equal(t, "https://example.com/v1.2/tool_Linux_x86_64", it.url)
	require.Equal(t, "bin/Linux/tool_Linux_x86_64", it.rel)
	require.Equal(t, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", it.digest)
	require.EqualValues(t, 0o755, it.mode())
	require.Equal(t, "dlm.toml:4: tool", it.about)

	items, err = m.items([]string{"tool", "tool"}, platform{"windows", "arm64"})
	require.NoError(t, err)
	require.Len(t, items, 1)
	require.Equal(t, "https://example.com/v1.2/tool_Win_arm64.exe", items[0].url)
	require.Equal(t, filepath.FromSlash("/project/sums/1.2"), items[0].checksum)
	require.Empty(t, items[0].digest)
}

// TestManifestsInTheDocsAreRight reads those that people copy.
func TestManifestsInTheDocsAreRight(t *testing.T) {
	for _, file := range []string{"README.md", "docs/ci.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", file))
		require.NoError(t, err)
		found := 0
		for _, block := range strings.Split(string(text), "```toml\n")[1:] {
			block, _, _ = strings.Cut(block, "```")
			if !strings.Contains(block, "[artifact.") {
				continue
			}
			found++
			_, err := parseManifest(file, []byte(block))
			require.NoError(t, err)
		}
		require.Equal(t, 1, found, file)
	}
	_, manifest, _ := strings.Cut(syncLong, "(FILE.toml):\n")
	manifest, _, _ = strings.Cut(manifest, "\n  url  ")
	m, err := parseManifest("help", []byte(manifest))
	require.NoError(t, err)
	require.Len(t, m.artifacts, 2)
}

func TestTemplates(t *testing.T) {
	v := variables{"os": "linux"}
	for text, want := range map[string]string{
		"": "", "a": "a", "{os}": "linux", "x{os}y{os}": "xlinuxylinux", "{{os}}": "{os}", "{{{os}}}": "{linux}", "}}": "}",
	} {
		got, bad := v.fill(text)
		require.Nil(t, bad, text)
		require.Equal(t, want, got, text)
	}
	for text, variable := range map[string]string{
		"{": "", "}": "", "{os": "", "os}": "", "{os{os}": "", "{{{os}}": "", "{arch}": "arch", "{}": "", "{OS}": "OS",
	} {
		_, bad := v.fill(text)
		require.NotNil(t, bad, text)
		require.Equal(t, variable, bad.variable, text)
	}
}

func TestAManifestsLines(t *testing.T) {
	lines, err := linesOf([]byte("a = 1\nb = {\n c = {d = 1},\n e = 2}\n[t.'u v']\n\"x\\ny\" = 3\n[[l]]\nm.n = [\n1]\n"))
	require.NoError(t, err)
	for path, line := range map[string]int{
		"a": 1, "b": 2, "b c": 3, "b c d": 3, "b e": 4, "t": 5, "t u_v": 5, "t u_v x/y": 6, "l m n": 8, "l m n 0": 8, "none": 1,
	} {
		keys := strings.Fields(path)
		for i := range keys {
			keys[i] = strings.NewReplacer("_", " ", "/", "\n").Replace(keys[i])
		}
		require.Equal(t, line, lines.of(keys), path)
	}
}

// FuzzManifest wants of any text that it is taken whole or refused with errors that
// name a line of it, and that nothing it says leads out of the manifest's folder.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{
		"", "[artifact.a]\nurl = \"https://example.com/{name}-{os}\"\nto = \"bin/\"\nmode = \"0755\"\n",
		"artifact.a.url = 1", "[artifact]\na = {url='https://h/x',to='../x'}", "[[artifact]]", "artifact = {a = {b = {c = {}}}}",
		"[artifact.a]\nchecksum = {'linux/amd64' = 'sha256:00'}\nos = {linux = 'Linux'}\nmirrors = ['x', 1]",
		"[artifact.'\xc3\xa4\\u0000']\nto = '/x'", "\xef\xbb\xbf[artifact.a]\r\nurl='https://h/{'\r\n", "a=[{b={c=1}},{d=2}]\nartifact=1979-05-27",
		"[artifact.a]\nurl='https://h/x'\nto='{name}/{version}'\nversion='../..'",
		"[artifact.a]\nurl='https://h/x'\nto='a/'\nunpack=true\nstrip=1\n[artifact.b]\nurl='https://h/x'\nto='a/b'\nunpack=1\nstrip=-1\nmode=0o755",
	} {
		f.Add([]byte(seed))
	}
	root := filepath.Join(f.TempDir(), "project")
	f.Fuzz(func(t *testing.T, text []byte) {
		last := strings.Count(string(text), "\n") + 1
		m, err := parseManifest("m.toml", text)
		if err == nil {
			m.dir = root
			var items []*syncItem
			items, err = m.items(nil, platform{"linux", "amd64"})
			for _, it := range items {
				if it.target != "" {
					inside, err := filepath.Rel(root, it.target)
					require.NoError(t, err)
					require.True(t, filepath.IsLocal(inside) && inside != ".", it.target)
				}
			}
		}
		for _, one := range split(err) {
			require.True(t, isUsage(one), "%v", one)
			var line int
			if n, _ := fmt.Sscanf(one.Error(), "m.toml:%d:", &line); n == 1 {
				require.True(t, line >= 1 && line <= last, "%v", one)
			} else {
				require.True(t, strings.HasPrefix(one.Error(), "m.toml: "), "%v", one)
			}
		}
	})
}
