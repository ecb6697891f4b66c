package unpack

import (
	"archive/tar"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// hostile are archives that want out, or that mean different things to different
// systems. The last entry is the one that has to be refused.
var hostile = map[string][]item{
	// Names.
	"zip slip: CVE-2018-1002200 and many more": {{name: "good"}, {name: "../../evil"}},
	"tarfile: CVE-2007-4559":                   {{name: "../canary", content: "evil"}},
	"dots in the middle":                       {{name: "a/b/../../../canary"}},
	"dots at the end":                          {{name: "a/.."}},
	"absolute":                                 {{name: "/tmp/evil"}},
	"absolute, of a share":                     {{name: "//host/share/evil"}},
	"zip slip with back-slashes":               {{name: `..\..\evil`}},
	"back-slash":                               {{name: `a\b`}},
	"drive":                                    {{name: "C:/evil"}},
	"relative to a drive: CVE-2021-37713":      {{name: "c:evil"}},
	"drive and dots":                           {{name: "C:../evil"}},
	"file that is the folder":                  {{name: "."}},
	"folder that leads out":                    {{name: "../side/"}},
	"control character":                        {{name: "a\x1b[2Jb"}},
	"line break":                               {{name: "a\nb"}},
	"right to left":                            {{name: "a\u202egnp.exe"}},
	"zero width":                               {{name: "a\u200bb"}},
	"trailing dot":                             {{name: "a./b"}},
	"trailing space":                           {{name: "a "}},
	"three dots":                               {{name: ".../b"}},
	"long part":                                {{name: strings.Repeat("x", 256)}},
	"long name":                                {{name: strings.Repeat("x/", 600) + "y"}},
	// Twice.
	"through a link on a link": {{name: "l", kind: tar.TypeSymlink, target: "x"}, {name: "l", kind: tar.TypeSymlink, target: "."}, {name: "l/evil"}},
	"file, then folder":        {{name: "a"}, {name: "a/"}},
	"folder, then file":        {{name: "a/"}, {name: "a"}},
	"file below a file":        {{name: "a"}, {name: "a/b"}},
	// Symbolic links.
	"link to an absolute path":         {{name: "l", kind: tar.TypeSymlink, target: "/etc/passwd"}},
	"link to a share":                  {{name: "l", kind: tar.TypeSymlink, target: `\\host\share`}},
	"link to a drive":                  {{name: "l", kind: tar.TypeSymlink, target: "C:/x"}},
	"link out":                         {{name: "l", kind: tar.TypeSymlink, target: "../canary"}},
	"link out and in":                  {{name: "l", kind: tar.TypeSymlink, target: "../side/x"}},
	"link out of a folder":             {{name: "a/l", kind: tar.TypeSymlink, target: "../../canary"}},
	"link through nothing out":         {{name: "l", kind: tar.TypeSymlink, target: "a/../../canary"}},
	"link without a target":            {{name: "l", kind: tar.TypeSymlink}},
	"link with back-slashes":           {{name: "l", kind: tar.TypeSymlink, target: `..\canary`}},
	"link with dots and a space":       {{name: "a/l", kind: tar.TypeSymlink, target: ".. /canary"}},
	"link with a long target":          {{name: "l", kind: tar.TypeSymlink, target: strings.Repeat("x/", 600)}},
	"link to itself":                   {{name: "l", kind: tar.TypeSymlink, target: "l"}},
	"links in a circle":                {{name: "k", kind: tar.TypeSymlink, target: "x"}, {name: "x", target: "l", kind: tar.TypeSymlink}, {name: "l", kind: tar.TypeSymlink, target: "x"}},
	"through a link: CVE-2011-5325":    {{name: "l", kind: tar.TypeSymlink, target: "."}, {name: "l/evil"}},
	"folder on a link: CVE-2021-32803": {{name: "l/"}, {name: "l", kind: tar.TypeSymlink, target: "x"}},
	"link on a folder: CVE-2021-37701": {{name: "l", kind: tar.TypeSymlink, target: "x"}, {name: "l/"}},
	"link through a link: CVE-2014-6407": {
		{name: "a/b/c/up", kind: tar.TypeSymlink, target: "../../.."},
		{name: "out", kind: tar.TypeSymlink, target: "a/b/c/up/../canary"},
	},
	"link through one in another case": {
		{name: "a/b/c/up", kind: tar.TypeSymlink, target: "../../.."},
		{name: "out", kind: tar.TypeSymlink, target: "a/b/c/UP/../canary"},
	},
	"link through many, out: CVE-2025-4517": chain(),
	// Nothing that an archive should bring.
	"set-user-ID":            {{name: "su", mode: 0o4755}},
	"set-group-ID":           {{name: "sg", mode: 0o2755}},
	"character device":       {{name: "null", kind: tar.TypeChar}},
	"block device":           {{name: "sda", kind: tar.TypeBlock}},
	"named pipe":             {{name: "pipe", kind: tar.TypeFifo}},
	"device below a folder":  {{name: "a/"}, {name: "a/null", kind: tar.TypeChar}},
	"folder with dots, last": {{name: "a/b/.."}},
}

// chain leads down a way of links, each short for a long name, and up again by fewer
// parts than it came down: who counts the parts of the names is led out.
func chain() []item {
	var items []item
	at, short := "", ""
	for _, c := range "abcdefgh" {
		long := strings.Repeat("d", 20)
		items = append(items, item{name: at + long + "/"}, item{name: at + string(c), kind: tar.TypeSymlink, target: long})
		at, short = at+long+"/", short+string(c)+"/"
	}
	return append(items,
		item{name: at + "l", kind: tar.TypeSymlink, target: strings.Repeat("../", 8)},
		item{name: "escape", kind: tar.TypeSymlink, target: short + "l/../canary"})
}

// tarOnly are hostile archives that zip cannot hold.
var tarOnly = map[string][]item{
	"hard link out":                          {{name: "l", kind: tar.TypeLink, target: "../../canary"}},
	"hard link to an absolute path":          {{name: "l", kind: tar.TypeLink, target: "/etc/passwd"}},
	"hard link to nothing: CVE-2018-20834":   {{name: "l", kind: tar.TypeLink, target: "x"}},
	"hard link to what comes later":          {{name: "l", kind: tar.TypeLink, target: "x"}, {name: "x"}},
	"hard link to a symbolic link":           {{name: "s", kind: tar.TypeSymlink, target: "x"}, {name: "l", kind: tar.TypeLink, target: "s"}},
	"hard link through a symbolic link":      {{name: "d/x"}, {name: "s", kind: tar.TypeSymlink, target: "d"}, {name: "l", kind: tar.TypeLink, target: "s/x"}},
	"hard link to a folder":                  {{name: "d/"}, {name: "l", kind: tar.TypeLink, target: "d"}},
	"hard link to itself":                    {{name: "l", kind: tar.TypeLink, target: "l"}},
	"hard link in another case":              {{name: "x"}, {name: "l", kind: tar.TypeLink, target: "X"}},
	"hard link to itself, there":             {{name: "x"}, {name: "x", kind: tar.TypeLink, target: "x"}},
	"hard link to what was replaced":         {{name: "x"}, {name: "x", kind: tar.TypeSymlink, target: "y"}, {name: "l", kind: tar.TypeLink, target: "x"}},
	"unknown type":                           {{name: "v", kind: 'V'}},
	"hard link without a target":             {{name: "l", kind: tar.TypeLink}},
	"not UTF-8":                              {{name: "a\xff"}},
	"link with a target that is not UTF-8":   {{name: "l", kind: tar.TypeSymlink, target: "a\xff"}},
	"symbolic link with an invisible target": {{name: "l", kind: tar.TypeSymlink, target: "a\u200b"}},
}

func TestHostileArchivesAreRefused(t *testing.T) {
	for name, items := range hostile {
		t.Run("zip, "+name, func(t *testing.T) { requireRefused(t, items, zipOf(t, items...)) })
	}
	for _, cases := range []map[string][]item{hostile, tarOnly} {
		for name, items := range cases {
			t.Run("tar, "+name, func(t *testing.T) { requireRefused(t, items, tarOf(t, items...)) })
		}
	}
}

func requireRefused(t *testing.T, items []item, archive []byte) {
	t.Helper()
	p := newPlace(t)
	err := p.unpack(t, Options{}, "a", archive)
	require.ErrorIs(t, err, ErrRefused)
	var refused *EntryError
	require.ErrorAs(t, err, &refused)
	names := make([]string, 0, len(items))
	for _, it := range items {
		names = append(names, strings.TrimSuffix(it.name, "/"))
	}
	require.Contains(t, names, strings.TrimSuffix(refused.Entry, "/"))
	require.Contains(t, err.Error(), quoted(refused.Entry))
	require.NotContains(t, err.Error(), "\x1b", "an error is shown on terminals")
}

// What a raw header can say and archive/tar would not write.
func TestAnEmptyNameIsRefused(t *testing.T) {
	p := newPlace(t)
	require.ErrorIs(t, p.unpack(t, Options{}, "a", zipOf(t, item{name: "a"}, item{name: ""})), ErrRefused)

	archive := tarOf(t, item{name: "x", content: "y"})
	copy(archive, "\x00") // the name; its checksum goes by its sum
	sum := 0
	copy(archive[148:], "        ")
	for _, c := range archive[:512] {
		sum += int(c)
	}
	copy(archive[148:], []byte{'0', '0' + byte(sum>>12&7), '0' + byte(sum>>9&7), '0' + byte(sum>>6&7), '0' + byte(sum>>3&7), '0' + byte(sum&7), 0, ' '})
	require.ErrorIs(t, newPlace(t).unpack(t, Options{}, "a", archive), ErrRefused)
}

// Archives that stand for themselves are not unpacked again, so that nothing grows
// from 42.zip.
func TestWhatWasUnpackedIsNotUnpackedAgain(t *testing.T) {
	inner := zipOf(t, item{name: "x"})
	p := newPlace(t)
	require.NoError(t, p.unpack(t, Options{}, "42.zip", zipOf(t, item{name: "inner.zip", content: string(inner)})))
	require.Equal(t, map[string]string{"inner.zip": string(inner)}, p.tree(t))

	p = newPlace(t)
	twice := gz(t, gz(t, []byte("x")))
	require.NoError(t, p.unpack(t, Options{}, "a.gz.gz", twice))
	require.Equal(t, []string{"a.gz"}, list(t, p.inside))
}

func TestLinksWithinAreMade(t *testing.T) {
	items := []item{
		{name: "lib/libx.so.1.2", content: "x"},
		{name: "lib/libx.so.1", kind: tar.TypeSymlink, target: "libx.so.1.2"},
		{name: "lib/libx.so", kind: tar.TypeSymlink, target: "libx.so.1"},
		{name: "bin/x", kind: tar.TypeSymlink, target: "../lib/./libx.so"},
		{name: "current", kind: tar.TypeSymlink, target: "lib/"},
		{name: "through", kind: tar.TypeSymlink, target: "current/../lib/libx.so"},
		{name: "dangling", kind: tar.TypeSymlink, target: "lib/later"},
	}
	want := map[string]string{
		"lib/": "", "bin/": "", "lib/libx.so.1.2": "x", "lib/libx.so.1": "-> libx.so.1.2", "lib/libx.so": "-> libx.so.1",
		"bin/x": "-> ../lib/./libx.so", "current": "-> lib/", "through": "-> current/../lib/libx.so", "dangling": "-> lib/later",
	}
	for name, archive := range map[string][]byte{"tar": tarOf(t, items...), "zip": zipOf(t, items...)} {
		p := newPlace(t)
		require.NoError(t, p.unpack(t, Options{}, name, archive), name)
		require.Equal(t, want, p.tree(t), name)
	}
}
