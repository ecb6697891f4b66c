package batch

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/require"
)

// fullFile takes the first bytes of a write and no more, as a full disk does.
type fullFile struct {
	afero.File
	fits int // how long a write may be that it takes
}

func (f *fullFile) WriteAt(b []byte, at int64) (int, error) {
	if len(b) <= f.fits {
		return f.File.WriteAt(b, at)
	}
	n, _ := f.File.WriteAt(b[:len(b)/2], at)
	return n, errFull
}

// listAt opens a list in a file that holds text, or what is in it already if text is
// "". The test closes it.
func listAt(t testing.TB, path, text string) *LinkList {
	t.Helper()
	if text != "" {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	l, err := OpenLinkList(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// A condition is waited for as long as it takes on a loaded machine.
const (
	waitTime = time.Minute
	tick     = time.Millisecond
)

// memFile is a file to be read, in memory.
type memFile struct {
	afero.File
	r *bytes.Reader
}

func (f *memFile) ReadAt(b []byte, at int64) (int, error) { return f.r.ReadAt(b, at) }
func (f *memFile) Stat() (os.FileInfo, error)             { return nil, os.ErrNotExist }
