package fs

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newGate returns a gate into a new folder, which allows limit bytes.
func newGate(t *testing.T, limit int64) *gate {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	g := &gate{rootFs: rootFs{root: root}, open: map[*gateFile]struct{}{}, full: func(int64) bool { return false }}
	g.grow = func(total int64) error {
		if total > limit {
			return errFull
		}
		return nil
	}
	t.Cleanup(func() {
		require.NoError(t, g.shut())
		require.NoError(t, root.Close())
	})
	return g
}

var errFull = errors.New("no more")

func TestWhatIsWrittenIsAccountedForFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		write func(f afero.File) error
		total int64
	}{
		"write":          {func(f afero.File) error { _, err := f.Write(make([]byte, 60)); return err }, 60},
		"string":         {func(f afero.File) error { _, err := f.WriteString("sixty"); return err }, 5},
		"hole":           {func(f afero.File) error { _, err := f.WriteAt([]byte("x"), 79); return err }, 80},
		"truncate":       {func(f afero.File) error { return f.Truncate(90) }, 90},
		"copy":           {func(f afero.File) error { _, err := io.Copy(f, bytes.NewReader(make([]byte, 70))); return err }, 70},
		"the same again": {writeAgain, 60},
		"behind a seek":  {writeBehindSeek, 30},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, 100)
			f, err := g.Create("file")
			require.NoError(t, err)
			require.NoError(t, tt.write(f))
			assert.Equal(t, tt.total, g.total)
			fi, err := f.Stat()
			require.NoError(t, err)
			assert.Equal(t, tt.total, fi.Size())
			require.NoError(t, f.Close())

			more, err := g.OpenFile("file", os.O_WRONLY|os.O_APPEND, 0)
			require.NoError(t, err)
			_, err = more.Write(make([]byte, 101-tt.total))
			require.ErrorIs(t, err, errFull)
			_, err = more.Write(make([]byte, 100-tt.total))
			require.NoError(t, err)
			fi, err = g.Stat("file")
			require.NoError(t, err)
			assert.EqualValues(t, 100, fi.Size())
		})
	}
}

func writeAgain(f afero.File) error {
	for range 3 {
		if _, err := f.Write(make([]byte, 60)); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	return nil
}

func writeBehindSeek(f afero.File) error {
	if _, err := f.Seek(20, io.SeekStart); err != nil {
		return err
	}
	_, err := f.Write(make([]byte, 10))
	return err
}

// fullFile has no room for so many bytes of what is written next, once.
type fullFile struct {
	afero.File
	missing int
}

func (f *fullFile) Write(b []byte) (int, error) {
	if f.missing == 0 {
		return f.File.Write(b)
	}
	n, err := f.File.Write(b[:len(b)-f.missing])
	f.missing = 0
	return n, errors.Join(err, &os.PathError{Op: "write", Err: syscall.ENOSPC})
}

func TestAFullDiskIsTriedAgainWhenThereIsRoom(t *testing.T) {
	for _, room := range []bool{true, false} {
		g := newGate(t, 100)
		asked := int64(0)
		g.full = func(total int64) bool { asked = total; return room }
		opened, err := g.Create("file")
		require.NoError(t, err)
		f := opened.(*gateFile)
		f.File = &fullFile{f.File, 7}
		n, err := f.Write([]byte("0123456789"))
		assert.EqualValues(t, 10, asked)
		content, read := afero.ReadFile(g, "file")
		require.NoError(t, read)
		if !room {
			require.ErrorIs(t, err, syscall.ENOSPC)
			assert.Equal(t, "012", string(content))
			assert.Equal(t, 3, n)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, "0123456789", string(content))
		assert.Equal(t, 10, n)
	}
}

func TestTheGateLeavesTheOwnerHisRights(t *testing.T) {
	if isWindows {
		t.Skip("permissions are others there")
	}
	g := newGate(t, 100)
	require.NoError(t, g.MkdirAll("/a/b", 0))
	require.NoError(t, afero.WriteFile(g, "/a/b/file", []byte("x"), 0))
	require.NoError(t, g.Chmod("a/b/file", os.ModeSetuid|0o077))
	require.NoError(t, g.Chmod("a", 0))
	file, err := g.Stat("a/b/file")
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o677), file.Mode())
	folder, err := g.Stat("a")
	require.NoError(t, err)
	assert.Equal(t, os.ModeDir|0o700, folder.Mode())
	require.ErrorIs(t, g.Chown("a", 1, 1), errors.ErrUnsupported)
	require.NoError(t, g.LinkIfPossible("/a/b/file", "twin"))
	require.Error(t, g.LinkIfPossible("../x", "twin2"))
}
