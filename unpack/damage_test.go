package unpack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/require"

	dlmfs "github.com/dlmanager/dlmanager/fs"
)

// small are archives of some hundred bytes with one entry, by their format.
func small(t testing.TB) map[string][]byte {
	plain := tarOf(t, item{name: "dir/hello", content: "hello, world\n"})
	return map[string][]byte{
		"tar": plain, "tar.gz": gz(t, plain), "tar.zst": zst(t, plain), "tar.xz": xzTar(t), "tar.bz2": bz2Tar(t),
		"zip": zipOf(t, item{name: "dir/hello", content: "hello, world\n"}),
		"gz":  gz(t, []byte("hello")), "zst": zst(t, []byte("hello")), "xz": xzOf([]byte("hello"), 18), "bz2": bz2Single(t),
	}
}

func TestTruncatedArchives(t *testing.T) {
	for format, archive := range small(t) {
		t.Run(format, func(t *testing.T) {
			end, step := len(archive), 1
			if format == "tar" {
				end, step = end-512, 64 // a single block of zeros ends an archive, too
			}
			for n := 0; n < end; n += step {
				_, err := inMemory(t, archive[:n])
				if !errors.Is(err, ErrFormat) {
					require.ErrorIs(t, err, ErrDamaged, "of %d bytes %d", len(archive), n)
				}
			}
		})
	}
}

// A bit that differs is noticed, or makes no difference to what is unpacked. In a plain
// tar archive only the headers are protected.
func TestDamagedArchives(t *testing.T) {
	for format, archive := range small(t) {
		if format == "tar" {
			continue
		}
		t.Run(format, func(t *testing.T) {
			want, err := inMemory(t, archive)
			require.NoError(t, err)
			require.Len(t, want, 1)
			for i := range archive {
				damaged := bytes.Clone(archive)
				damaged[i] ^= 1 << (i % 8)
				if got, err := inMemory(t, damaged); err == nil {
					require.Equal(t, want, got, "byte %d", i)
				}
			}
		})
	}
}

// inMemory unpacks an archive and returns the contents of its files, whatever they are
// called: names of zip entries and of gzip headers are not protected.
func inMemory(t *testing.T, archive []byte) (contents []string, err error) {
	t.Helper()
	into := afero.NewMemMapFs()
	require.NoError(t, into.MkdirAll(".", 0o777))
	if err := (Options{}).Extract(t.Context(), bytes.NewReader(archive), int64(len(archive)), "a", into); err != nil {
		return nil, err
	}
	require.NoError(t, afero.Walk(into, ".", func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		content, err := afero.ReadFile(into, path)
		contents = append(contents, string(content))
		return err
	}))
	return contents, nil
}

func TestDamageSaysWhere(t *testing.T) {
	archive := tarOf(t, item{name: "first", content: "x"}, item{name: "second", content: string(make([]byte, 4096))})
	err := newPlace(t).unpack(t, Options{}, "a.tar", archive[:2500])
	var damaged *DamagedError
	require.ErrorAs(t, err, &damaged)
	require.Equal(t, DamagedError{Entry: "second", Offset: 2500, Err: io.ErrUnexpectedEOF}, *damaged)
	require.EqualError(t, err, `unpack tar: the archive is damaged or cut off near byte 2500, at entry "second": unexpected EOF; fetch it again`)
}

func TestWhatComesAfterTheEnd(t *testing.T) {
	plain := tarOf(t, item{name: "a", content: "x"})
	zeros := make([]byte, 10240)
	for name, c := range map[string]struct {
		archive []byte
		whole   bool
	}{
		"tar, padding":               {append(bytes.Clone(plain), zeros...), true},
		"tar, text":                  {append(bytes.Clone(plain), "text"...), false},
		"tar, another":               {append(bytes.Clone(plain), plain...), false},
		"tar.gz, padding within":     {gz(t, append(bytes.Clone(plain), zeros...)), true},
		"tar.gz, text within":        {gz(t, append(bytes.Clone(plain), "text"...)), false},
		"tar.gz, padding":            {append(gz(t, plain), zeros...), false},
		"tar.gz, text":               {append(gz(t, plain), "text"...), false},
		"tar.gz, in members":         {append(gz(t, plain[:700]), gz(t, plain[700:])...), true},
		"tar.gz, end mark missing":   {gz(t, plain[:1024]), true},
		"tar, end mark missing":      {plain[:1024], false},
		"tar.zst, text":              {append(zst(t, plain), "text"...), false},
		"tar.zst, in frames":         {append(zst(t, plain[:700]), zst(t, plain[700:])...), true},
		"tar.zst, frame to skip":     {append([]byte("\x50\x2a\x4d\x18\x01\x00\x00\x00x"), zst(t, plain)...), true},
		"tar.xz, text":               {append(xzOf(plain, 18), "text"...), false},
		"tar.xz, padding":            {append(xzOf(plain, 18), zeros...), true},
		"tar.xz, in streams":         {append(xzOf(plain[:700], 18), xzOf(plain[700:], 18)...), true},
		"tar.bz2, text":              {append(bz2Tar(t), "text"...), false},
		"zip, text before":           {append([]byte("PK\x03\x04 text"), zipOf(t, item{name: "a", content: "x"})...), true},
		"zip, text after":            {append(zipOf(t, item{name: "a", content: "x"}), "text"...), true},
		"gz, a member without bytes": {append(gz(t, []byte("x")), gz(t, nil)...), true},
	} {
		t.Run(name, func(t *testing.T) {
			err := newPlace(t).unpack(t, Options{}, "a", c.archive)
			if c.whole {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrDamaged)
		})
	}
}

func TestWhatIsNoArchive(t *testing.T) {
	for hint, content := range map[string]string{
		"it is empty":                   "",
		"does the URL need credentials": "\n<!DOCTYPE html><html>",
		"it is a program":               "\x7fELF\x02\x01",
		"it is 7-Zip's":                 "7z\xbc\xaf\x27\x1c\x00",
		"it is RAR's":                   "Rar!\x1a\x07",
		"what can be unpacked is tar":   string(make([]byte, 10240)),
	} {
		err := newPlace(t).unpack(t, Options{}, "a.tar.gz", []byte(content))
		require.ErrorIs(t, err, ErrFormat)
		require.ErrorContains(t, err, hint)
	}
}

// failing is an archive that calls a function before each read.
type failing struct {
	io.ReaderAt
	before func(at int64) error
}

func (f failing) ReadAt(b []byte, at int64) (int, error) {
	if err := f.before(at); err != nil {
		return 0, err
	}
	return f.ReaderAt.ReadAt(b, at)
}

func large(t testing.TB) map[string][]byte {
	content := make([]byte, 3*bufferBytes)
	_, err := rand.NewChaCha8([32]byte{}).Read(content)
	require.NoError(t, err)
	items := []item{{name: "a", content: string(content)}}
	plain := tarOf(t, items...)
	return map[string][]byte{"tar": plain, "tar.gz": gz(t, plain), "tar.zst": zst(t, plain), "tar.xz": xzOf(plain, 18), "zip": zipOf(t, items...)}
}

func TestAContextThatEndsStopsIt(t *testing.T) {
	for format, archive := range large(t) {
		t.Run(format, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			reads, stop := 0, errors.New("enough")
			err := extractAt(t, ctx, failing{bytes.NewReader(archive), func(int64) error {
				if reads++; reads == 3 {
					cancel(stop)
				}
				require.LessOrEqual(t, reads, 3, "read after the end")
				return nil
			}}, len(archive))
			require.ErrorIs(t, err, stop)
			require.NotErrorIs(t, err, ErrDamaged)
		})
	}
}

// An archive that cannot be read is not damaged.
func TestAReadErrorIsPassedOn(t *testing.T) {
	for format, archive := range large(t) {
		t.Run(format, func(t *testing.T) {
			broken, reads := errors.New("input/output error"), 0
			err := extractAt(t, t.Context(), failing{bytes.NewReader(archive), func(int64) error {
				if reads++; reads >= 3 {
					return broken
				}
				return nil
			}}, len(archive))
			require.ErrorIs(t, err, broken)
			require.NotErrorIs(t, err, ErrDamaged)
		})
	}
}

func extractAt(t *testing.T, ctx context.Context, archive io.ReaderAt, size int) error {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	defer root.Close()
	return Options{}.Extract(ctx, archive, int64(size), "a", dlmfs.NewRoot(root))
}
