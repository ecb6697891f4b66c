package fs

import (
	"os"
	"sync"
	"time"
)

// homeFolder is the folder of a root itself, kept open from the first look on, so
// that a look at a file is one step or two: os.Root takes two and more for each
// folder on the way. It is safe for concurrent use. A nil homeFolder sees nothing.
type homeFolder struct {
	root *os.Root
	once sync.Once
	sub  subfolders

	mu  sync.RWMutex // guards dir, and keeps it open while it is used
	dir *os.File     // nil: it cannot be opened, or is closed
}

func (h *homeFolder) open() {
	dir, err := h.root.Open(".")
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dir = dir
}

// in calls fn with a descriptor of a folder below the root, "" for the root itself, as
// os.Root reaches it, or did a moment ago. It is not done where there is no way that is
// quicker.
func (h *homeFolder) in(folder string, fn func(fd int) error) (done bool, err error) {
	return h.reach(folder, time.Time{}, fn)
}

func (h *homeFolder) reach(folder string, since time.Time, fn func(fd int) error) (done bool, err error) {
	if h == nil {
		return false, nil
	}
	h.once.Do(h.open)
	if folder != "" && since.IsZero() {
		if done, err := h.sub.inOpened(folder, fn); done {
			return true, err
		}
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	switch {
	case h.dir == nil:
		return false, nil
	case folder == "":
		return inOpen(h.dir, fn)
	case !since.IsZero():
		return h.sub.inSince(h.dir, folder, since, fn)
	}
	return h.sub.inNew(h.dir, folder, fn)
}

// isPlainPath reports whether the name leads to a folder without any link on the way,
// if that takes less than a look at each one.
func (h *homeFolder) isPlainPath(name string) bool {
	if name == "." {
		return false
	}
	done, err := h.in(name, func(int) error { return nil })
	return done && err == nil
}

// close does not wait for who uses a folder below at this moment; the folder is closed
// when it is not used any more.
func (h *homeFolder) close() error {
	if h == nil {
		return nil
	}
	h.once.Do(func() {}) // nothing opens it any more
	h.sub.close()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dir == nil {
		return nil
	}
	err := h.dir.Close()
	h.dir = nil
	return err
}
