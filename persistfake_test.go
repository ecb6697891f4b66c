package dlmanager

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeShelf is a shelf without a disk. What is to happen in the middle of a
// call is a function that the test sets.
type fakeShelf struct {
	root     string
	mu       sync.Mutex // guards all below
	files    map[string]fakeFile
	stats    int
	removes  int
	log      string // base names of what was evicted, in order
	told     []LimitUsage
	onStat   func(name string) error
	onRemove func(name string) error
	after    func(name string, size int64) // a removal, before it returns
	onEvict  func(Removed)
}

type fakeFile struct {
	size int64
	used time.Time
}

func newFakeShelf() *fakeShelf {
	return &fakeShelf{root: "/fake", files: map[string]fakeFile{}}
}

func (s *fakeShelf) put(name string, size int64, used time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = fakeFile{size, used}
}

func (s *fakeShelf) stat(name string) (int64, time.Time, error) {
	s.mu.Lock()
	s.stats++
	hook := s.onStat
	s.mu.Unlock()
	if hook != nil {
		if err := hook(name); err != nil {
			return 0, time.Time{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.files[name]
	if !ok {
		return 0, time.Time{}, &os.PathError{Op: "stat", Path: name, Err: os.ErrNotExist}
	}
	return f.size, f.used, nil
}

func (s *fakeShelf) remove(name string) error {
	s.mu.Lock()
	s.removes++
	hook := s.onRemove
	s.mu.Unlock()
	if hook != nil {
		if err := hook(name); err != nil {
			return err
		}
	}
	s.mu.Lock()
	f, ok := s.files[name]
	delete(s.files, name)
	after := s.after
	s.mu.Unlock()
	if !ok {
		return os.ErrNotExist
	}
	if after != nil {
		after(name, f.size)
	}
	return nil
}

func (s *fakeShelf) path(name string) string { return filepath.Join(s.root, filepath.FromSlash(name)) }

func (s *fakeShelf) evicted(r Removed) {
	s.mu.Lock()
	s.log += filepath.Base(r.Path)
	hook := s.onEvict
	s.mu.Unlock()
	if hook != nil {
		hook(r)
	}
}

func (s *fakeShelf) exceeded(u LimitUsage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, u)
}

// left returns the names that are there, in one string.
func (s *fakeShelf) left() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, "")
}

// fill puts files of 10 bytes, the first the oldest, on the shelf and under p.
func (s *fakeShelf) fill(p *PersistLimit, names string) {
	for i, name := range strings.Split(names, "") {
		s.put(name, 10, minute(i))
		p.add(s, name, 10, minute(i))
	}
}

// check asserts that accounts and heaps fit together.
func (p *PersistLimit) check(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var files int
	var bytes tally
	seen := map[*limitDir]bool{}
	for _, d := range p.dirs {
		if seen[d] {
			continue
		}
		seen[d] = true
		for f := range d.files.all() {
			name := f.name
			files++
			bytes.change(f.size, p.limit, 1)
			require.Same(t, f, d.files.get(name))
			require.False(t, f.gone || f.busy, name)
			require.Equal(t, d.holds[name] > 0, f.held, name)
			if f.newest {
				require.Same(t, f, p.rank.newest.slots[f.top].file)
				require.Equal(t, int32(-1), f.low)
				continue
			}
			require.Same(t, f, p.rank.latest.slots[f.top].file)
			require.Equal(t, f.candidate(), f.low >= 0, name)
			if f.low >= 0 {
				require.Same(t, f, p.rank.side(f).slots[f.low].file)
			}
			require.LessOrEqual(t, f.used, p.rank.newest.first().used, "older than the newest")
		}
	}
	require.Equal(t, files, p.files)
	require.Equal(t, bytes, p.bytes)
	require.Equal(t, files, p.rank.newest.len()+p.rank.latest.len())
	require.Equal(t, min(files, p.rank.keep), p.rank.newest.len())
	require.Nil(t, p.removing)
	require.Nil(t, p.inUse)
	for _, h := range []*useHeap{&p.rank.newest, &p.rank.latest, &p.rank.huge, &p.rank.oldest} {
		for i := range h.slots {
			require.LessOrEqual(t, h.slots[(max(i, 1)-1)/4].key, h.slots[i].key)
		}
	}
}
