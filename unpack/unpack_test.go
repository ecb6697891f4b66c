package unpack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/require"

	dlmfs "github.com/dlmanager/dlmanager/fs"
)

func TestFormatsAreToldByContent(t *testing.T) {
	want := map[string]string{"dir/": "", "dir/hello": "hello\n"}
	plain := tarOf(t, item{name: "dir/hello", content: "hello\n"})
	for format, archive := range map[string][]byte{
		"tar": plain, "tar.gz": gz(t, plain), "tar.zst": zst(t, plain), "tar.xz": xzOf(plain, 18), "tar.bz2": bz2Tar(t),
		"xz(1)": xzTar(t), "zip": zipOf(t, item{name: "dir/hello", content: "hello\n"}),
	} {
		t.Run(format, func(t *testing.T) {
			p := newPlace(t)
			require.NoError(t, p.unpack(t, Options{}, "photo.jpg", archive))
			require.Equal(t, want, p.tree(t))
		})
	}
}

func TestSingleFiles(t *testing.T) {
	hello := []byte("hello\n")
	for name, archive := range map[string][]byte{
		"a.gz": gz(t, hello), "a.ZST": zst(t, hello), "a.zstd": zst(t, hello), "a.xz": xzOf(hello, 18), "a.bz2": bz2Single(t), "a": gz(t, hello),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			require.NoError(t, p.unpack(t, Options{Strip: 1}, "x/"+name, archive))
			require.Equal(t, map[string]string{"a": "hello\n"}, p.tree(t))
		})
	}
}

func TestNamesOfSingleFiles(t *testing.T) {
	for _, c := range []struct{ archive, header, want string }{
		{"tool.gz", "other", "tool"},
		{"tool.tgz", "", "tool.tgz"},
		{"tool", "other", "other"},
		{"tool", "", "tool"},
		{"tool", "/usr/bin/other", "other"},
		{"tool", `C:\bin\other`, "other"},
		{"tool", "..", "tool"},
		{"tool", "../..", "tool"},
		{"tool", "a\x1bb", "tool"},
		{".gz", "other", "other"},
	} {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Name = c.header
		_, err := w.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		p := newPlace(t)
		require.NoError(t, p.unpack(t, Options{}, c.archive, b.Bytes()), c)
		require.Equal(t, map[string]string{c.want: "x"}, p.tree(t), c)
	}
	for _, name := range []string{"", "..gz", "../...gz", "/", "a\x1b.gz"} {
		require.ErrorIs(t, newPlace(t).unpack(t, Options{}, name, gz(t, []byte("x"))), ErrRefused, name)
	}
}

func TestStrip(t *testing.T) {
	items := []item{
		{name: "top/"},
		{name: "./top/sub/"},
		{name: "README", content: "passed over"},
		{name: "top/sub/file", content: "x"},
		{name: "top//./file", content: "y"},
		{name: "top/sub/same", kind: tar.TypeLink, target: "top/sub/file"},
		{name: "top/link", kind: tar.TypeSymlink, target: "sub/file"},
	}
	for strip, want := range []map[string]string{
		{
			"README": "passed over", "top/": "", "top/sub/": "", "top/sub/file": "x", "top/file": "y",
			"top/sub/same": "x", "top/link": "-> sub/file",
		},
		{"sub/": "", "sub/file": "x", "file": "y", "sub/same": "x", "link": "-> sub/file"},
		{"file": "x", "same": "x"},
		{},
	} {
		p := newPlace(t)
		require.NoError(t, p.unpack(t, Options{Strip: strip}, "a", tarOf(t, items...)))
		require.Equal(t, want, p.tree(t), strip)
	}
	require.ErrorContains(t, newPlace(t).unpack(t, Options{Strip: -1}, "a", tarOf(t)), "cannot strip")

	// A link that stays inside of the whole may lead out of what is left of it.
	out := tarOf(t, item{name: "top/link", kind: tar.TypeSymlink, target: "../README"})
	require.NoError(t, newPlace(t).unpack(t, Options{}, "a", out))
	require.ErrorIs(t, newPlace(t).unpack(t, Options{Strip: 1}, "a", out), ErrRefused)
	// And the file that a hard link leads to may be passed over.
	gone := tarOf(t, item{name: "x"}, item{name: "top/link", kind: tar.TypeLink, target: "x"})
	require.ErrorIs(t, newPlace(t).unpack(t, Options{Strip: 1}, "a", gone), ErrRefused)
	// What is passed over is held against the rules all the same.
	require.ErrorIs(t, newPlace(t).unpack(t, Options{Strip: 3}, "a", tarOf(t, item{name: "../x"})), ErrRefused)
}

func TestModesAndTimes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no modes")
	}
	sensible := time.Unix(1_000_000_000, 0)
	items := []item{
		{name: "plain", mode: 0o644, modTime: sensible},
		{name: "program", mode: 0o755, modTime: sensible},
		{name: "secret", mode: 0o400, modTime: sensible},
		{name: "open", mode: 0o1666, modTime: sensible},
		{name: "others", mode: 0o011, modTime: sensible},
		{name: "old", modTime: time.Unix(-1000, 0)},
		{name: "new", modTime: time.Now().Add(1000 * time.Hour)},
		{name: "dir/", mode: 0o3500, modTime: sensible},
		{name: "dir/file", modTime: sensible},
		{name: "elf", content: "\x7fELF", mode: 0o644, modTime: sensible},
	}
	p := newPlace(t)
	begin := time.Now()
	require.NoError(t, p.unpack(t, Options{}, "a", tarOf(t, items...)))

	// What the umask leaves.
	ours := filepath.Join(p.outside, "in", "ours")
	require.NoError(t, os.Mkdir(ours, 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(ours, "plain"), nil, 0o666))
	require.NoError(t, os.WriteFile(filepath.Join(ours, "program"), nil, 0o777))
	mode := func(parts ...string) os.FileMode {
		info, err := os.Stat(filepath.Join(parts...))
		require.NoError(t, err)
		return info.Mode()
	}
	for name, like := range map[string]string{
		"plain": "plain", "program": "program", "secret": "plain", "open": "plain", "others": "plain", "elf": "plain",
	} {
		require.Equal(t, mode(ours, like), mode(p.inside, name), name)
	}
	require.Equal(t, mode(ours), mode(p.inside, "dir"))

	at := func(name string) time.Time {
		info, err := os.Stat(filepath.Join(p.inside, name))
		require.NoError(t, err)
		return info.ModTime()
	}
	require.True(t, at("plain").Equal(sensible))
	require.True(t, at("old").Equal(time.Unix(0, 0)))
	require.WithinRange(t, at("new"), begin.Add(-time.Second), time.Now())
}

func TestProgramsAreKnownByTheirContent(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no modes")
	}
	for content, executable := range map[string]bool{"#!/bin/sh\n": true, "\x7fELF\x02": true, "\xcf\xfa\xed\xfe": true, "#": false, "": false, "text": false} {
		p := newPlace(t)
		require.NoError(t, p.unpack(t, Options{}, "a.gz", gz(t, []byte(content))))
		info, err := os.Stat(filepath.Join(p.inside, "a"))
		require.NoError(t, err)
		require.Equal(t, executable, info.Mode()&0o100 != 0, "%q", content)
	}
}

func TestHardLinksAreLinks(t *testing.T) {
	p := newPlace(t)
	require.NoError(t, p.unpack(t, Options{MaxBytes: 1}, "a", tarOf(t, item{name: "a/x", content: "x"}, item{name: "b/y", kind: tar.TypeLink, target: "./a/x"})))
	x, err := os.Stat(filepath.Join(p.inside, "a", "x"))
	require.NoError(t, err)
	y, err := os.Stat(filepath.Join(p.inside, "b", "y"))
	require.NoError(t, err)
	require.True(t, os.SameFile(x, y))
}

func TestNamesThatAreFine(t *testing.T) {
	names := []string{"..a", "a..b", ".hidden", "a b", "ä", "日本", "x/.dlm/y", ".dlm", "CACHEDIR.TAG", "console", "-rf", "~", "$HOME", "%00"}
	if runtime.GOOS != "windows" {
		names = append(names, "std::string.3", "a?b*c", `"x"`, "a|b<c>d", "aux.c", "CON", "com¹", "x/nul.txt")
	}
	var items []item
	want := map[string]string{"x/": "", "x/.dlm/": ""}
	for _, name := range names {
		items = append(items, item{name: name, content: name})
		want[name] = name
	}
	for format, archive := range map[string][]byte{"tar": tarOf(t, items...), "zip": zipOf(t, items...)} {
		p := newPlace(t)
		require.NoError(t, p.unpack(t, Options{}, "a", archive), format)
		require.Equal(t, want, p.tree(t), format)
	}
}

func TestFoldersMayComeTwice(t *testing.T) {
	p := newPlace(t)
	require.NoError(t, p.unpack(t, Options{}, "a", tarOf(t, item{name: "./"}, item{name: "a/b"}, item{name: "a/"}, item{name: "./a/"}, item{name: "." + "/"})))
	require.Equal(t, map[string]string{"a/": "", "a/b": ""}, p.tree(t))
}

func TestSparseFilesAreWrittenInFull(t *testing.T) {
	const hole = 1 << 20
	for format, archive := range sparseTars(t) {
		p := newPlace(t)
		require.NoError(t, p.unpack(t, Options{}, "a", archive), format)
		require.Equal(t, map[string]string{"hole": string(make([]byte, hole)) + "end"}, p.tree(t), format)
		requireLimit(t, newPlace(t).unpack(t, Options{MaxBytes: hole}, "a", archive), "MaxBytes", "hole")
	}
}

// git archive writes the commit into a header that is no entry.
func TestGlobalHeadersArePassedOver(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "0123"}}))
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "a", Typeflag: tar.TypeReg}))
	require.NoError(t, w.Close())
	p := newPlace(t)
	require.NoError(t, p.unpack(t, Options{}, "a", b.Bytes()))
	require.Equal(t, []string{"a"}, list(t, p.inside))
}

func TestTheFolderHasToBeEmpty(t *testing.T) {
	p := newPlace(t)
	require.NoError(t, os.WriteFile(filepath.Join(p.inside, "x"), nil, 0o600))
	require.ErrorContains(t, p.unpack(t, Options{}, "a", tarOf(t)), "not empty")
}

// A file system without links gets copies of hard links, which count, and refuses
// symbolic ones.
func TestAFileSystemWithoutLinks(t *testing.T) {
	extract := func(into afero.Fs, o Options, items ...item) error {
		archive := tarOf(t, items...)
		return o.Extract(t.Context(), bytes.NewReader(archive), int64(len(archive)), "a", into)
	}
	file, link := item{name: "x", content: "xy", mode: 0o755}, item{name: "y", kind: tar.TypeLink, target: "x"}
	into := afero.NewMemMapFs()
	require.NoError(t, into.MkdirAll(".", 0o777))
	require.NoError(t, extract(into, Options{MaxBytes: 4}, file, link))
	content, err := afero.ReadFile(into, "y")
	require.NoError(t, err)
	require.Equal(t, "xy", string(content))
	info, err := into.Stat("y")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o777), info.Mode().Perm())

	into = afero.NewMemMapFs()
	require.NoError(t, into.MkdirAll(".", 0o777))
	require.ErrorIs(t, extract(into, Options{MaxBytes: 3}, file, link), ErrLimit)

	into = afero.NewMemMapFs()
	require.NoError(t, into.MkdirAll(".", 0o777))
	err = extract(into, Options{}, item{name: "l", kind: tar.TypeSymlink, target: "x"})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, `"l"`)
}

// afero's own file system below a folder makes other links than it is told to.
func TestAFileSystemThatChangesLinks(t *testing.T) {
	into := afero.NewBasePathFs(afero.NewOsFs(), t.TempDir())
	archive := tarOf(t, item{name: "lib/x"}, item{name: "lib/l", kind: tar.TypeSymlink, target: "x"})
	err := Options{}.Extract(t.Context(), bytes.NewReader(archive), int64(len(archive)), "a", into)
	require.ErrorContains(t, err, `"lib/l"`)
	require.ErrorContains(t, err, "os.Root")
}

// full is a file system that is full after some bytes.
type full struct {
	afero.Fs
	left *int
}

type fullFile struct {
	afero.File
	left *int
}

var errFull = errors.New("no space left on device")

func (f full) OpenFile(name string, flag int, perm os.FileMode) (afero.File, error) {
	file, err := f.Fs.OpenFile(name, flag, perm)
	return fullFile{file, f.left}, err
}

func (f fullFile) Write(b []byte) (int, error) {
	if *f.left -= len(b); *f.left < 0 {
		return 0, errFull
	}
	return f.File.Write(b)
}

func TestAWriteErrorNamesTheEntry(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	defer root.Close()
	left := 15
	archive := tarOf(t, item{name: "one", content: "0123456789"}, item{name: "two", content: "0123456789"})
	err = Options{}.Extract(t.Context(), bytes.NewReader(archive), int64(len(archive)), "a", full{dlmfs.NewRoot(root), &left})
	require.ErrorIs(t, err, errFull)
	require.ErrorContains(t, err, `write entry "two"`)
}
