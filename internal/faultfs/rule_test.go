package faultfs_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/faultfs"
)

func TestFailAtCountsFromNow(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		require.NoError(t, f.Mkdir(filepath.Join(dir, "before"), 0o777))
		f.FailAt(2, syscall.EIO)
		f.FailAt(3, syscall.ENOSPC)
		assert.NoError(t, f.Mkdir(filepath.Join(dir, "1"), 0o777))
		assert.ErrorIs(t, f.Mkdir(filepath.Join(dir, "2"), 0o777), syscall.EIO)
		_, err := f.Create(filepath.Join(dir, "3"))
		assert.ErrorIs(t, err, syscall.ENOSPC)
		assert.NoError(t, f.Mkdir(filepath.Join(dir, "4"), 0o777))
		assert.Equal(t, 5, f.Steps())
		assert.Equal(t, []string{
			"mkdir " + filepath.Join(dir, "before"),
			"mkdir " + filepath.Join(dir, "1"),
			"mkdir " + filepath.Join(dir, "2") + ": " + syscall.EIO.Error(),
			"create " + filepath.Join(dir, "3") + ": " + syscall.ENOSPC.Error(),
			"mkdir " + filepath.Join(dir, "4"),
		}, f.Log())
		assert.Empty(t, f.OpenFiles())
	})
}

// Every step of a piece of code fails once, and its error is seen.
func TestFailAtVisitsEveryStep(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		write := func() error {
			file, err := f.Create(filepath.Join(dir, "a"))
			if err != nil {
				return err
			}
			_, err = file.Write([]byte("x"))
			if err != nil {
				_ = file.Close()
				return err
			}
			return file.Close()
		}
		visited := 0
		for n := 1; ; n++ {
			before := f.Steps()
			f.FailAt(n, syscall.EIO)
			err := write()
			if f.Steps() < before+n {
				require.NoError(t, err)
				break
			}
			require.ErrorIs(t, err, syscall.EIO)
			visited++
		}
		assert.Equal(t, 3, visited) // create, write, close
	})
}

func TestFailMatchesNamesUntilRemoved(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		a, b := create(t, f, filepath.Join(dir, "a"), ""), create(t, f, filepath.Join(dir, "b"), "")
		remove := f.Fail(faultfs.OpSync, named("a"), syscall.EIO)
		for range 3 {
			assert.ErrorIs(t, a.Sync(), syscall.EIO)
			assert.NoError(t, b.Sync())
		}
		_, err := a.Stat()
		assert.NoError(t, err) // another operation
		remove()
		assert.NoError(t, a.Sync())
		remove()
	})
}

// A match that uses the file system itself does not lock up.
func TestMatchMayAskTheFs(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		f.Fail(faultfs.OpMkdir, func(string) bool { return f.Steps() > 1 }, syscall.EIO)
		assert.NoError(t, f.Mkdir(filepath.Join(dir, "1"), 0o777))
		assert.ErrorIs(t, f.Mkdir(filepath.Join(dir, "2"), 0o777), syscall.EIO)
	})
}

func TestFailTimes(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		file := create(t, f, filepath.Join(dir, "a"), "")
		f.FailTimes(faultfs.OpSync, named("a"), syscall.EIO, 2)
		assert.ErrorIs(t, file.Sync(), syscall.EIO)
		assert.ErrorIs(t, file.Sync(), syscall.EIO)
		assert.NoError(t, file.Sync())

		remove := f.FailTimes(faultfs.OpSync, nil, syscall.EIO, 1)
		remove()
		assert.NoError(t, file.Sync())
	})
}

func TestShortWrite(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		name := filepath.Join(dir, "a")
		file, other := create(t, f, name, ""), create(t, f, filepath.Join(dir, "b"), "")
		remove := f.ShortWrite(named("a"), 10, syscall.ENOSPC)

		n, err := file.Write([]byte("012345"))
		require.NoError(t, err)
		assert.Equal(t, 6, n)
		n, err = file.Write([]byte("6789xyz"))
		assert.Equal(t, 4, n)
		require.ErrorIs(t, err, syscall.ENOSPC)
		var pathErr *os.PathError
		require.ErrorAs(t, err, &pathErr)
		assert.Equal(t, os.PathError{Op: "write", Path: name, Err: syscall.ENOSPC}, *pathErr)
		assert.Equal(t, "write "+name+": "+syscall.ENOSPC.Error(), f.Log()[f.Steps()-1])
		n, err = file.Write([]byte("more"))
		assert.Zero(t, n)
		require.ErrorIs(t, err, syscall.ENOSPC)
		_, err = file.Write(nil)
		require.NoError(t, err) // nothing needs no room
		_, err = other.WriteString("not on that disk")
		require.NoError(t, err)

		content, err := afero.ReadFile(f, name)
		require.NoError(t, err)
		assert.Equal(t, "0123456789", string(content))
		remove()
		_, err = file.WriteString("!")
		require.NoError(t, err)
	})
}

func TestShortWriteAtExactlyTheLimit(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		file := create(t, f, filepath.Join(dir, "a"), "")
		f.ShortWrite(nil, 4, syscall.ENOSPC)
		_, err := file.WriteAt([]byte("89"), 8)
		require.NoError(t, err)
		_, err = file.WriteAt([]byte("01"), 0)
		require.NoError(t, err)
		n, err := file.WriteAt([]byte("2"), 2)
		assert.Zero(t, n)
		require.ErrorIs(t, err, syscall.ENOSPC)
	})
}

// io.Copy does not go around the rules by a shortcut of the wrapped file.
func TestShortWriteOfCopy(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		file := create(t, f, filepath.Join(dir, "a"), "")
		f.ShortWrite(nil, 100_000, syscall.EDQUOT)
		n, err := io.Copy(file, bytes.NewReader(make([]byte, 200_000)))
		require.ErrorIs(t, err, syscall.EDQUOT)
		assert.EqualValues(t, 100_000, n)
	})
}

// All writers of a disk share its room.
func TestShortWriteIsShared(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		f.ShortWrite(nil, 50, syscall.ENOSPC)
		stored := make([]int, 4)
		var writers sync.WaitGroup
		for i := range stored {
			file := create(t, f, filepath.Join(dir, string(rune('a'+i))), "")
			writers.Go(func() {
				for range 10 {
					n, _ := file.Write([]byte("123"))
					stored[i] += n
				}
			})
		}
		writers.Wait()
		assert.Equal(t, 50, stored[0]+stored[1]+stored[2]+stored[3])
	})
}

// An ordinary rule outranks the room that is left, and takes none of it.
func TestFailTakesNoRoom(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		file := create(t, f, filepath.Join(dir, "a"), "")
		f.ShortWrite(nil, 3, syscall.ENOSPC)
		f.FailTimes(faultfs.OpWrite, nil, syscall.EIO, 1)
		n, err := file.WriteString("abc")
		assert.Zero(t, n)
		require.ErrorIs(t, err, syscall.EIO)
		n, err = file.WriteString("abc")
		require.NoError(t, err)
		assert.Equal(t, 3, n)
	})
}
