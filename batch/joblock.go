package batch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
)

// ErrInUse is matched by an [*InUseError].
var ErrInUse = errors.New("the job is in use")

// InUseError is the refusal of a job's directory that another process has.
type InUseError struct {
	Dir string
	PID int // of who has it; 0: not known
}

func (e *InUseError) Error() string {
	holder := "another process"
	if e.PID > 0 {
		holder = fmt.Sprint("process ", e.PID)
	}
	return fmt.Sprintf("job %s is in use by %s: wait for it, or give another directory", e.Dir, holder)
}

// Is makes it match ErrInUse.
func (e *InUseError) Is(target error) bool { return target == ErrInUse }

// lockName is the file that is locked while a job is open; it holds the number of
// the process.
const lockName = "lock"

// lockJob locks the job in dir. The lock ends with the file, and with the process.
func lockJob(fsys afero.Fs, dir string) (afero.File, error) {
	path := filepath.Join(dir, lockName)
	for {
		f, err := fsys.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		locked, err := fs.TryLock(f)
		switch {
		case err != nil:
			err = fmt.Errorf("lock job %s: %w: give a directory on a local disk", dir, err)
		case !locked:
			err = &InUseError{dir, holderOf(f)}
		case !isAt(fsys, path, f):
			_ = f.Close() // who had it has removed the job since: it is nobody's
			continue
		default:
			err = sign(f)
		}
		if err != nil {
			_ = f.Close() // nothing was written that counts
			return nil, err
		}
		return f, nil
	}
}

// isAt reports whether the path still leads to the open file.
func isAt(fsys afero.Fs, path string, f afero.File) bool {
	there, err := fsys.Stat(path)
	if err != nil {
		return false
	}
	open, err := f.Stat()
	return err == nil && os.SameFile(there, open)
}

// sign writes who has the lock.
func sign(f afero.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	return err
}

// isLock reports whether a file may be one that sign wrote: it is empty, or has a
// number.
func isLock(f afero.File) bool {
	fi, err := f.Stat()
	return err == nil && fi.Mode().IsRegular() && (fi.Size() == 0 || fi.Size() < 32 && holderOf(f) > 0)
}

func holderOf(f afero.File) int {
	var text [32]byte
	n, err := f.ReadAt(text[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil {
		return 0
	}
	return pid
}
