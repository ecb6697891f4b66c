//go:build unix

package journal

import (
	"os"
	"runtime"
	"syscall"

	"github.com/spf13/afero"
)

// nonblock keeps an open from waiting for the other end of a pipe.
const nonblock = syscall.O_NONBLOCK

// look returns the size of an open file and how many names it has. os.File.Stat takes
// memory, for each record.
func look(f afero.File) (size int64, names uint64, err error) {
	file, ok := f.(*os.File)
	if !ok {
		size, err = sizeOf(f)
		return size, 0, err
	}
	var st syscall.Stat_t
	for err = syscall.EINTR; err == syscall.EINTR; {
		err = syscall.Fstat(int(file.Fd()), &st)
	}
	runtime.KeepAlive(file)
	return st.Size, uint64(st.Nlink), err
}
