package faultfs_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/dlmanager/dlmanager/internal/faultfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// onEach runs a test on both kinds of file system, in an empty directory.
func onEach(t *testing.T, test func(t *testing.T, f *faultfs.Fs, dir string)) {
	t.Helper()
	t.Run("mem", func(t *testing.T) {
		base := afero.NewMemMapFs()
		require.NoError(t, base.MkdirAll("/dir", 0o777))
		test(t, faultfs.New(base), "/dir")
	})
	t.Run("os", func(t *testing.T) {
		test(t, faultfs.New(afero.NewOsFs()), t.TempDir())
	})
}

func named(base string) func(string) bool {
	return func(name string) bool { return filepath.Base(name) == base }
}

func create(t *testing.T, f *faultfs.Fs, name, content string) afero.File {
	t.Helper()
	file, err := f.Create(name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	_, err = file.WriteString(content)
	require.NoError(t, err)
	return file
}

// operation is one way to reach a step, with what the error must be.
type operation struct {
	op   faultfs.Op
	word string // in the error
	run  func(f *faultfs.Fs, file afero.File, dir string) error
}

func second[T any](_ T, err error) error { return err }

// operations act on dir and on the open file dir/a, whose content is "content",
// beside dir/b.
var operations = map[string]operation{
	"Open": {faultfs.OpOpen, "open", func(f *faultfs.Fs, _ afero.File, dir string) error {
		return closing(f.Open(filepath.Join(dir, "a")))
	}},
	"OpenFile": {faultfs.OpOpen, "open", func(f *faultfs.Fs, _ afero.File, dir string) error {
		return closing(f.OpenFile(filepath.Join(dir, "a"), os.O_RDWR, 0))
	}},
	"OpenFile create": {faultfs.OpCreate, "open", func(f *faultfs.Fs, _ afero.File, dir string) error {
		return closing(f.OpenFile(filepath.Join(dir, "n"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666))
	}},
	"Create": {faultfs.OpCreate, "open", func(f *faultfs.Fs, _ afero.File, dir string) error {
		return closing(f.Create(filepath.Join(dir, "n")))
	}},
	"Mkdir": {faultfs.OpMkdir, "mkdir", func(f *faultfs.Fs, _ afero.File, dir string) error {
		return f.Mkdir(filepath.Join(dir, "d"), 0o777)
	}},
	"MkdirAll": {faultfs.OpMkdir, "mkdir", func(f *faultfs.Fs, _ afero.File, dir string) error {
		return f.MkdirAll(filepath.Join(dir, "d", "e"), 0o777)
	}},
	"Remove": {faultfs.OpRemove, "remove", func(f *faultfs.Fs, _ afero.File, dir string) error {
		return f.Remove(filepath.Join(dir, "b"))
	}},
	"RemoveAll": {faultfs.OpRemove, "unlinkat", func(f *faultfs.Fs, _ afero.File, dir string) error {
		return f.RemoveAll(filepath.Join(dir, "b"))
	}},
	"Stat": {faultfs.OpStat, "stat", func(f *faultfs.Fs, _ afero.File, dir string) error {
		return second(f.Stat(filepath.Join(dir, "a")))
	}},
	"Lstat": {faultfs.OpStat, "lstat", func(f *faultfs.Fs, _ afero.File, dir string) error {
		_, _, err := f.LstatIfPossible(filepath.Join(dir, "a"))
		return err
	}},
	"Chmod": {faultfs.OpChmod, "chmod", func(f *faultfs.Fs, _ afero.File, dir string) error {
		return f.Chmod(filepath.Join(dir, "a"), 0o600)
	}},
	"Chown": {faultfs.OpChown, "chown", func(f *faultfs.Fs, _ afero.File, dir string) error {
		return f.Chown(filepath.Join(dir, "a"), os.Getuid(), os.Getgid())
	}},
	"Chtimes": {faultfs.OpChtimes, "chtimes", func(f *faultfs.Fs, _ afero.File, dir string) error {
		return f.Chtimes(filepath.Join(dir, "a"), time.Unix(1, 0), time.Unix(2, 0))
	}},
	"file Read": {faultfs.OpRead, "read", func(_ *faultfs.Fs, file afero.File, _ string) error {
		return second(file.Read(make([]byte, 1)))
	}},
	"file ReadAt": {faultfs.OpRead, "read", func(_ *faultfs.Fs, file afero.File, _ string) error {
		return second(file.ReadAt(make([]byte, 1), 2))
	}},
	"file Write": {faultfs.OpWrite, "write", func(_ *faultfs.Fs, file afero.File, _ string) error {
		return second(file.Write([]byte("w")))
	}},
	"file WriteAt": {faultfs.OpWrite, "write", func(_ *faultfs.Fs, file afero.File, _ string) error {
		return second(file.WriteAt([]byte("w"), 3))
	}},
	"file WriteString": {faultfs.OpWrite, "write", func(_ *faultfs.Fs, file afero.File, _ string) error {
		return second(file.WriteString("w"))
	}},
	"file Stat": {faultfs.OpStat, "stat", func(_ *faultfs.Fs, file afero.File, _ string) error {
		return second(file.Stat())
	}},
	"file Sync": {faultfs.OpSync, "sync", func(_ *faultfs.Fs, file afero.File, _ string) error {
		return file.Sync()
	}},
	"file Truncate": {faultfs.OpTruncate, "truncate", func(_ *faultfs.Fs, file afero.File, _ string) error {
		return file.Truncate(20)
	}},
	"file Close": {faultfs.OpClose, "close", func(_ *faultfs.Fs, file afero.File, _ string) error {
		return file.Close()
	}},
}

func closing(file afero.File, err error) error {
	if err != nil {
		return err
	}
	return file.Close()
}

// prepare makes what the operations work on.
func prepare(t *testing.T, f *faultfs.Fs, dir string) afero.File {
	t.Helper()
	require.NoError(t, create(t, f, filepath.Join(dir, "b"), "b").Close())
	file := create(t, f, filepath.Join(dir, "a"), "content")
	_, err := file.Seek(0, io.SeekStart)
	require.NoError(t, err)
	return file
}

func TestOperationsPassThrough(t *testing.T) {
	for name, o := range operations {
		t.Run(name, func(t *testing.T) {
			if name == "Chown" && runtime.GOOS == "windows" {
				return // which has none, as the wrapped file system says
			}
			onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
				file := prepare(t, f, dir)
				before := f.Steps()
				require.NoError(t, o.run(f, file, dir))
				assert.Contains(t, f.Log()[before], string(o.op)+" "+dir)
			})
		})
	}
}

func TestOperationsFail(t *testing.T) {
	for name, o := range operations {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
				file := prepare(t, f, dir)
				remove := f.Fail(o.op, nil, syscall.EIO)
				err := o.run(f, file, dir)
				require.ErrorIs(t, err, syscall.EIO)
				var pathErr *os.PathError
				require.ErrorAs(t, err, &pathErr)
				assert.Equal(t, o.word, pathErr.Op)
				assert.True(t, strings.HasPrefix(pathErr.Path, dir), pathErr.Path)
				last := f.Log()[f.Steps()-1]
				assert.Contains(t, last, string(o.op)+" "+pathErr.Path+": "+syscall.EIO.Error())
				remove()
			})
		})
	}
}

func TestFailuresDoNotReachTheBase(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		file := prepare(t, f, dir)
		removes := []func(){}
		for _, o := range operations {
			if o.op != faultfs.OpClose {
				removes = append(removes, f.Fail(o.op, nil, syscall.EIO))
			}
		}
		for _, o := range operations {
			if o.op != faultfs.OpClose {
				require.Error(t, o.run(f, file, dir))
			}
		}
		for _, remove := range removes {
			remove()
		}
		infos, err := afero.ReadDir(f, dir)
		require.NoError(t, err)
		require.Len(t, infos, 2)
		content, err := afero.ReadFile(f, filepath.Join(dir, "a"))
		require.NoError(t, err)
		assert.Equal(t, "content", string(content))
	})
}

func TestRename(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		require.NoError(t, create(t, f, from, "x").Close())
		for _, match := range []func(string) bool{nil, named("from"), named("to")} {
			remove := f.Fail(faultfs.OpRename, match, syscall.EXDEV)
			err := f.Rename(from, to)
			require.ErrorIs(t, err, syscall.EXDEV)
			var linkErr *os.LinkError
			require.ErrorAs(t, err, &linkErr)
			assert.Equal(t, os.LinkError{Op: "rename", Old: from, New: to, Err: syscall.EXDEV}, *linkErr)
			remove()
		}
		before := f.Steps()
		require.NoError(t, f.Rename(from, to))
		assert.Equal(t, []string{"rename " + from + " -> " + to}, f.Log()[before:])
		_, err := f.Stat(from)
		assert.ErrorIs(t, err, os.ErrNotExist)
	})
}

func TestReaddir(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		require.NoError(t, create(t, f, filepath.Join(dir, "a"), "").Close())
		open := func() afero.File {
			d, err := f.Open(dir)
			require.NoError(t, err)
			return d
		}
		d := open()
		names, err := d.Readdirnames(-1)
		require.NoError(t, err)
		assert.Equal(t, []string{"a"}, names)
		require.NoError(t, d.Close())

		d = open()
		remove := f.Fail(faultfs.OpReaddir, nil, syscall.EIO)
		_, err = d.Readdir(-1)
		require.ErrorIs(t, err, syscall.EIO)
		_, err = d.Readdirnames(-1)
		require.ErrorIs(t, err, syscall.EIO)
		remove()
		infos, err := d.Readdir(-1)
		require.NoError(t, err)
		assert.Len(t, infos, 1)
		require.NoError(t, d.Close())
	})
}

func TestFailingCloseCloses(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		file := create(t, f, filepath.Join(dir, "a"), "x")
		assert.Equal(t, []string{filepath.Join(dir, "a")}, f.OpenFiles())
		f.FailTimes(faultfs.OpClose, nil, syscall.EIO, 1)
		require.ErrorIs(t, file.Close(), syscall.EIO)
		assert.Empty(t, f.OpenFiles())
		_, err := file.WriteString("y")
		assert.Error(t, err)
	})
}

func TestOpenFiles(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		first := create(t, f, b, "")
		second := create(t, f, a, "")
		again, err := f.Open(b)
		require.NoError(t, err)
		_, err = f.Open(filepath.Join(dir, "none"))
		require.Error(t, err)
		assert.Equal(t, []string{a, b, b}, f.OpenFiles())
		require.NoError(t, again.Close())
		require.NoError(t, second.Close())
		assert.Equal(t, []string{b}, f.OpenFiles())
		require.NoError(t, first.Close())
		assert.Empty(t, f.OpenFiles())
	})
}

func TestAtVariants(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		file := create(t, f, filepath.Join(dir, "a"), "0123456789")
		_, err := file.WriteAt([]byte("xy"), 4)
		require.NoError(t, err)
		p := make([]byte, 4)
		_, err = file.ReadAt(p, 3)
		require.NoError(t, err)
		assert.Equal(t, "3xy6", string(p))
		require.NoError(t, file.Truncate(5))
		info, err := file.Stat()
		require.NoError(t, err)
		assert.EqualValues(t, 5, info.Size())
	})
}

func TestAttributesArrive(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		name := filepath.Join(dir, "a")
		require.NoError(t, create(t, f, name, "").Close())
		require.NoError(t, f.Chmod(name, 0o444))
		require.NoError(t, f.Chtimes(name, time.Unix(1, 0), time.Unix(2, 0)))
		info, err := f.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o444), info.Mode().Perm())
		assert.EqualValues(t, 2, info.ModTime().Unix())
		require.NoError(t, f.Chmod(name, 0o644)) // so that the directory can be cleaned everywhere
		_, err = f.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		assert.ErrorIs(t, err, os.ErrExist)
		require.NoError(t, f.MkdirAll(filepath.Join(dir, "x", "y"), 0o700))
		info, err = f.Stat(filepath.Join(dir, "x", "y"))
		require.NoError(t, err)
		assert.True(t, info.IsDir())
		require.NoError(t, f.RemoveAll(filepath.Join(dir, "x")))
		_, err = f.Stat(filepath.Join(dir, "x"))
		assert.ErrorIs(t, err, os.ErrNotExist)
	})
}

func TestLstat(t *testing.T) {
	f := faultfs.New(afero.NewOsFs())
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("nowhere", link); err != nil {
		require.Equal(t, "windows", runtime.GOOS, "no symbolic links: %v", err)
		return
	}
	info, lstat, err := f.LstatIfPossible(link)
	require.NoError(t, err)
	assert.True(t, lstat)
	assert.NotZero(t, info.Mode()&os.ModeSymlink)
	_, err = f.Stat(link)
	assert.ErrorIs(t, err, os.ErrNotExist)

	// A base without Lstat: the answer says that it is that of Stat.
	plain := faultfs.New(noLstat{afero.NewMemMapFs()})
	require.NoError(t, plain.Mkdir("/d", 0o777))
	info, lstat, err = plain.LstatIfPossible("/d")
	require.NoError(t, err)
	assert.False(t, lstat)
	assert.True(t, info.IsDir())
}

// noLstat hides all but afero.Fs.
type noLstat struct{ afero.Fs }

func TestName(t *testing.T) {
	assert.Equal(t, "faultfs(MemMapFS)", faultfs.New(afero.NewMemMapFs()).Name())
}

func TestConcurrentUse(t *testing.T) {
	onEach(t, func(t *testing.T, f *faultfs.Fs, dir string) {
		f.FailTimes(faultfs.OpSync, nil, syscall.EIO, 5)
		failed := make([]int, 8)
		var users sync.WaitGroup
		for i := range failed {
			users.Go(func() {
				remove := f.Fail(faultfs.OpRemove, named("none"), syscall.EIO)
				defer remove()
				file, err := f.Create(filepath.Join(dir, string(rune('a'+i))))
				if !assert.NoError(t, err) {
					return
				}
				for range 4 {
					if errors.Is(file.Sync(), syscall.EIO) {
						failed[i]++
					}
				}
				assert.NoError(t, file.Close())
			})
		}
		users.Wait()
		total := 0
		for _, n := range failed {
			total += n
		}
		assert.Equal(t, 5, total)
		assert.Equal(t, 8*6, f.Steps())
		assert.Len(t, f.Log(), 8*6)
		assert.Empty(t, f.OpenFiles())
	})
}
