package fs

import (
	"errors"
	"os"
	"strings"
	"sync"
)

// homeFolder is the folder of a root itself, kept open from the first look on, so
// that a look at a file is one step or two: os.Root takes two and more for each
// folder on the way. It is safe for concurrent use. A nil homeFolder sees nothing.
type homeFolder struct {
	root *os.Root
	once sync.Once
	dir  *os.File // nil: it cannot be opened, or is closed
}

func (h *homeFolder) open() *os.File {
	h.once.Do(func() {
		if dir, err := h.root.Open("."); err == nil {
			h.dir = dir
		}
	})
	return h.dir
}

// stat describes what has the name, below the root as for os.Root. It is not done
// where there is no way that is quicker.
func (h *homeFolder) stat(name string) (info Info, done bool, err error) {
	if h == nil || name == "" || name == "." || name == ".." {
		return Info{}, false, nil
	}
	dir := h.open()
	if dir == nil {
		return Info{}, false, nil
	}
	if strings.ContainsAny(name, `/\`) {
		return statBelow(dir, name)
	}
	return statTop(dir, name)
}

// isPlainPath reports whether the name leads to a folder without any link on the way,
// if that takes less than a look at each one.
func (h *homeFolder) isPlainPath(name string) bool {
	if h == nil || !strings.Contains(name, "/") {
		return false
	}
	dir := h.open()
	return dir != nil && isPlainPath(dir, name)
}

func (h *homeFolder) close() error {
	if h == nil {
		return nil
	}
	h.once.Do(func() {}) // nothing opens it any more
	if h.dir == nil {
		return nil
	}
	if err := h.dir.Close(); !errors.Is(err, os.ErrClosed) { // the second time
		return err
	}
	return nil
}
