package fs

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// rawFileAt opens the path as createIn does in a folder.
func rawFileAt(t *testing.T, path string, flag int) *rawFile {
	t.Helper()
	fd, err := unix.Open(path, flag|unix.O_CLOEXEC, 0o666)
	require.NoError(t, err)
	f := &rawFile{name: path, fd: fd}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestARawFileDoesWhatAnOsFileDoes(t *testing.T) {
	dir := t.TempDir()
	open := map[string]func(path string) (handle, error){
		"os":  func(path string) (handle, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666) },
		"raw": func(path string) (handle, error) { return rawFileAt(t, path, os.O_RDWR|os.O_CREATE), nil },
	}
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			f, err := open(path)
			require.NoError(t, err)
			assert.Equal(t, path, f.Name())
			n, err := f.WriteAt([]byte("content"), 3)
			require.NoError(t, err)
			assert.Equal(t, 7, n)
			require.NoError(t, f.Truncate(8))
			require.NoError(t, f.Sync())

			b := make([]byte, 6)
			n, err = f.ReadAt(b, 2)
			require.NoError(t, err)
			assert.Equal(t, "\x00conte", string(b[:n]))
			n, err = f.ReadAt(b, 4)
			assert.Equal(t, io.EOF, err)
			assert.Equal(t, "onte", string(b[:n]))
			n, err = f.WriteAt(nil, 0)
			require.NoError(t, err)
			assert.Zero(t, n)

			open, err := f.Stat()
			require.NoError(t, err)
			there, err := os.Stat(path)
			require.NoError(t, err)
			assert.True(t, os.SameFile(open, there))
			assert.EqualValues(t, 8, open.Size())

			require.NoError(t, f.Close())
			requireClosed(t, f)
		})
	}
}

// requireClosed has all that can be done with a closed file fail as it does with an
// os.File.
func requireClosed(t *testing.T, f handle) {
	t.Helper()
	var failed *os.PathError
	requirePathError := func(op string, err error) {
		t.Helper()
		require.ErrorIs(t, err, os.ErrClosed)
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, []string{op, f.Name()}, []string{failed.Op, failed.Path})
	}
	requirePathError("close", f.Close())
	_, err := f.WriteAt([]byte("x"), 0)
	requirePathError("write", err)
	_, err = f.ReadAt(make([]byte, 1), 0)
	requirePathError("read", err)
	requirePathError("truncate", f.Truncate(0))
	requirePathError("sync", f.Sync())
	_, err = f.Stat()
	requirePathError("stat", err)
	locked, err := tryLock(f)
	require.Error(t, err)
	assert.False(t, locked)
	assert.True(t, unlinked(f))
}

func TestWhatARawFileCannotStoreIsSaid(t *testing.T) {
	f := rawFileAt(t, "/dev/full", os.O_RDWR)
	n, err := f.WriteAt([]byte("x"), 0)
	assert.True(t, IsFull(err), err)
	assert.EqualError(t, err, "write /dev/full: no space left on device")
	assert.Zero(t, n)

	f = rawFileAt(t, filepath.Join(t.TempDir(), "file"), os.O_RDONLY|os.O_CREATE)
	_, err = f.WriteAt([]byte("x"), 0)
	require.ErrorIs(t, err, unix.EBADF)
}

// Whoever comes too late must not use a number that is another file's by now.
func TestARawFileMayBeClosedWhileItIsUsed(t *testing.T) {
	dir := t.TempDir()
	for range 50 {
		f := rawFileAt(t, filepath.Join(dir, "file"), os.O_RDWR|os.O_CREATE)
		var users sync.WaitGroup
		for i := range 4 {
			users.Go(func() {
				for {
					if _, err := f.WriteAt(bytes.Repeat([]byte{'x'}, 100), int64(100*i)); err != nil {
						assert.ErrorIs(t, err, os.ErrClosed)
						return
					}
				}
			})
		}
		require.NoError(t, f.Close())
		other, err := os.Create(filepath.Join(dir, "other"))
		require.NoError(t, err)
		users.Wait()
		fi, err := other.Stat()
		require.NoError(t, errors.Join(err, other.Close()))
		require.Zero(t, fi.Size())
	}
}

func TestAPartialFileOfACacheIsARawFile(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	spot, err := d.Spot("file")
	require.NoError(t, err)
	p, err := spot.Create(0o666, nil)
	require.NoError(t, err)
	assert.IsType(t, &rawFile{}, p.file)
	_, err = spot.Create(0o666, nil)
	require.ErrorIs(t, err, ErrHeld)
	require.NoError(t, p.Commit(SyncFile))

	// What is given away is everybody's: an os.File.
	p, err = spot.Create(0o666, nil)
	require.NoError(t, err)
	p.LeaseOnCommit()
	require.NoError(t, p.Commit(SyncNone))
	lease := p.TakeLease()
	assert.IsType(t, &os.File{}, lease)
	require.NoError(t, lease.Close())
}
