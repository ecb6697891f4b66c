package dlmanager

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/faultfs"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// fetch downloads files of the size, which were used an hour ago and more, the
// first the longest ago.
func fetch(t *testing.T, m *DownloadManager, o *testorigin.Origin, size int64, names ...string) {
	t.Helper()
	for i, name := range names {
		d := m.Download(o.ServeSize("/"+name, size), name)
		require.NoError(t, d.Wait())
		old := time.Now().Add(-time.Hour - time.Minute*time.Duration(len(names)-i))
		require.NoError(t, os.Chtimes(d.Dest(), old, old))
	}
}

func numbered(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("n%03d", i))
	}
	return names
}

func countFiles(t *testing.T, dir string) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "n*"))
	require.NoError(t, err)
	return len(names)
}

func TestWhoKeepsTheLimitReadsNoDirectory(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	require.NoError(t, managerAt(t, dir).Close())
	m := managerAt(t, dir, WithSizeLimit(1000), WithFileLimit(1))
	fetch(t, m, o, 100, numbered(10)...)
	assert.Zero(t, m.limit.dirs[m.shelf].files.len(), "nobody had to choose")
	fetch(t, m, o, 100, "more")
	assert.Equal(t, 9, countFiles(t, dir))
	assert.NoFileExists(t, m.dir.Path("n000"))
}

func TestFilesOfAnotherManagerCountAtOnceAndGoByTheirAge(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	a := managerAt(t, dir, WithSizeLimit(500), WithFileLimit(1))
	fetch(t, a, o, 100, "n0")
	unlimited := managerAt(t, dir)
	fetch(t, unlimited, o, 100, "n1", "n2")
	fetch(t, a, o, 100, "n3", "n4", "n5")
	assert.NoFileExists(t, a.dir.Path("n1"), "the oldest goes, whoever fetched it")
	assert.Equal(t, 5, countFiles(t, dir))
	s := a.Stats()
	assert.EqualValues(t, 500, s.Bytes)
	assert.Equal(t, 5, s.Files)
	assert.True(t, s.Shared)
	assert.Greater(t, s.VictimAge, 50*time.Minute)
	assert.False(t, s.LastEviction.IsZero())
	assert.Equal(t, s.VictimAge, unlimited.Stats().VictimAge, "all know it")
}

func TestAReservationWaitsForRoom(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	gate := make(chan struct{})
	a := managerAt(t, dir, WithSizeLimit(1000), WithFileLimit(1))
	b := managerAt(t, dir, WithSizeLimit(1000), WithFileLimit(1))
	first := a.Download(o.ServeSize("/first", 600, testorigin.GateAfter(10, gate)), "first")
	require.Eventually(t, func() bool { return a.Stats().Reserved == 600 }, time.Minute, time.Millisecond)
	second := b.Download(o.ServeSize("/second", 600), "second")
	<-o.Arrived("/second", 1)
	third := b.Download(o.ServeSize("/third", 300), "third")
	require.NoError(t, third.Wait(), "what fits does not wait")
	select {
	case <-second.Done():
		t.Fatal("it did not wait")
	default:
	}
	assert.LessOrEqual(t, b.Stats().Bytes+b.Stats().Reserved, int64(1000))
	close(gate)
	require.NoError(t, first.Wait())
	require.NoError(t, second.Wait())
	assert.NoFileExists(t, third.Dest(), "what has landed may go")
}

func TestWhoWaitsForRoomGivesUpWhenAsked(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	m := newManager(t, WithSizeLimit(1000), WithFileLimit(1))
	first := m.Download(o.ServeSize("/first", 600, testorigin.GateAfter(10, gate)), "first")
	require.Eventually(t, func() bool { return m.Stats().Reserved == 600 }, time.Minute, time.Millisecond)
	second := m.Download(o.ServeSize("/second", 600), "second")
	<-o.Arrived("/second", 1)
	second.Cancel()
	require.ErrorIs(t, second.Wait(), ErrCanceled)
	close(gate)
	require.NoError(t, first.Wait())
}

func TestWhoWaitForEachOtherExceedTheLimitRatherThanForEver(t *testing.T) {
	o := testorigin.New(t)
	var told atomic.Pointer[LimitUsage]
	m := newManager(t, WithSizeLimit(1000), WithFileLimit(1), WithHooks(Hooks{
		LimitExceeded: func(u LimitUsage) { told.Store(&u) },
	}))
	half := make(chan struct{})
	var all []*Download
	for i := range 2 { // they grow, and neither can without the other's room
		path := fmt.Sprint("/grows", i)
		all = append(all, m.Download(o.ServeSize(path, 900, testorigin.NoLength(), testorigin.GateAfter(400, half)), path[1:]))
	}
	require.Eventually(t, func() bool { return m.Stats().Reserved >= 800 }, time.Minute, time.Millisecond)
	close(half)
	for _, d := range all {
		require.NoError(t, d.Wait())
	}
	require.NotNil(t, told.Load())
	assert.Contains(t, told.Load().Why, ReasonReserved)
}

func TestADownloadThatPausesHoldsNobodyUp(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithSizeLimit(1000), WithFileLimit(1), WithMaxConcurrent(1))
	cut := o.ServeSize("/cut", 600, testorigin.CutAfter(100))
	paused := make(chan struct{})
	d := m.Download(cut, "cut", WithStrategy(pauses(paused)))
	<-paused
	require.NoError(t, m.Download(o.ServeSize("/other", 600), "other").Wait())
	d.Cancel()
	require.ErrorIs(t, d.Wait(), ErrCanceled)
}

// pauses is a strategy that waits for an hour and says when.
type pauses chan struct{}

func (p pauses) Next(Attempt) (time.Duration, bool) {
	close(p)
	return time.Hour, true
}

func TestTheDirectorysLimitIsTakenUpByWhoFollowsIt(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	require.NoError(t, managerAt(t, dir).Close())
	follows := managerAt(t, dir, WithFileLimit(1))
	own := managerAt(t, dir, WithFileLimit(1), WithSizeLimit(5000))
	fetch(t, follows, o, 100, numbered(9)...)
	require.NoError(t, own.SetSizeLimit(400))
	fetch(t, own, o, 100, "own")
	assert.Equal(t, 9, countFiles(t, dir), "a figure of its own outranks it")
	assert.EqualValues(t, 5000, own.Stats().Limit)
	assert.EqualValues(t, 400, own.Stats().DirectoryLimit)
	fetch(t, follows, o, 100, "last")
	assert.EqualValues(t, 400, follows.Stats().Limit)
	assert.LessOrEqual(t, follows.Stats().Bytes, int64(400))
	require.NoError(t, follows.SetSizeLimit(0))
	assert.Zero(t, follows.Stats().Limit)
	require.NoError(t, follows.SetSizeLimit(100))
	require.NoError(t, follows.Close())
	assert.Equal(t, 0, countFiles(t, dir))
	require.ErrorIs(t, follows.SetSizeLimit(1), ErrClosed)
}

func TestInTheBackgroundAFewPercentGoAtATime(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithSizeLimit(6400), WithFileLimit(1))
	fetch(t, m, o, 100, numbered(64)...)
	assert.EqualValues(t, 6400, m.Stats().Bytes, "what fits stays")
	fetch(t, m, o, 100, "x")
	// Down to 6000, and what was just being written may come on top.
	require.Eventually(t, func() bool { return m.Stats().Bytes <= 6100 }, time.Minute, time.Millisecond)
	assert.GreaterOrEqual(t, m.Stats().Bytes, int64(6000))

	few := newManager(t, WithSizeLimit(300), WithFileLimit(1))
	fetch(t, few, o, 100, "n0", "n1", "n2", "n3")
	_, err := few.limit.trimLow(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 300, few.Stats().Bytes, "a few large files are not thinned out")
}

func TestWhatIsTooOldGoes(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	first := managerAt(t, dir)
	fetch(t, first, o, 100, "n0", "n1", "n2")
	young := time.Now().Add(-time.Minute)
	require.NoError(t, os.Chtimes(first.dir.Path("n2"), young, young))
	require.NoError(t, first.Close())
	m := managerAt(t, dir, WithMaxAge(30*time.Minute), WithFileLimit(1))
	require.NoError(t, m.Close())
	assert.NoFileExists(t, filepath.Join(dir, "n0"))
	assert.NoFileExists(t, filepath.Join(dir, "n1"))
	assert.FileExists(t, filepath.Join(dir, "n2"))
	again := managerAt(t, dir, WithMaxAge(time.Nanosecond), WithFileLimit(1))
	assert.False(t, again.house.isAgeDue(), "that was looked at a moment ago")
}

func TestAgeIntervals(t *testing.T) {
	for age, want := range map[time.Duration]time.Duration{
		time.Second: time.Minute, 8 * time.Hour: 30 * time.Minute, 24 * 365 * time.Hour: time.Hour,
	} {
		assert.Equal(t, want, ageInterval(age))
	}
}

// roomy is a shelf whose file system has so much space.
type roomy struct {
	*fakeShelf
	has int64
	p   *PersistLimit
}

func (r *roomy) list(context.Context) error {
	for name, f := range r.files {
		r.p.add(r, name, f.size, f.used)
	}
	return nil
}

func (r *roomy) count(fs.Change) (fs.Usage, bool) { return fs.NoUsage, true }
func (r *roomy) usage() fs.Usage                  { return fs.NoUsage }
func (r *roomy) look()                            {}
func (r *roomy) sweep()                           {}
func (r *roomy) free() (int64, bool)              { return r.has, true }
func (r *roomy) noteVictim(fs.Victim)             {}
func (r *roomy) noteExcess(fs.Excess)             {}
func (r *roomy) noteAged(time.Time)               {}

func TestSpaceIsKeptFreeOnTheFileSystem(t *testing.T) {
	for name, tt := range map[string]struct {
		free, n int64
		want    string
	}{
		"enough":         {100, 50, "abcdef"},
		"just":           {60, 10, "abcdef"},
		"a little short": {59, 10, "bcdef"},
		"short":          {40, 10, "cdef"},
		"hopeless":       {0, 1000, "f"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &roomy{fakeShelf: newFakeShelf(), has: tt.free}
			p := NewPersistLimit(0, 1, WithMinFree(50))
			s.after = func(_ string, size int64) { s.has += size }
			s.p = p
			for i, file := range []string{"a", "b", "c", "d", "e", "f"} {
				s.put(file, 10, minute(i))
			}
			require.NoError(t, p.learn(t.Context(), s))
			r, err := p.reserve(t.Context(), s, tt.n)
			require.NoError(t, err)
			assert.Equal(t, tt.want, s.left())
			r.release()
			p.check(t)
		})
	}
}

func TestAFullDiskEvictsWhatItMayAndIsTriedOnceMore(t *testing.T) {
	for name, tt := range map[string]struct {
		space int64
		err   error
		opts  []Option
		fails bool
		gone  int
	}{
		"enough after it":      {1500, syscall.ENOSPC, []Option{WithSizeLimit(1 << 30), WithFileLimit(1), WithGrace(time.Hour)}, false, 1},
		"a quota":              {1500, syscall.EDQUOT, []Option{WithSizeLimit(1 << 30), WithFileLimit(1)}, false, 1},
		"nothing may go":       {1500, syscall.ENOSPC, []Option{WithSizeLimit(1 << 30), WithFileLimit(10)}, true, 0},
		"without a limit":      {1500, syscall.ENOSPC, nil, true, 0},
		"too little all along": {-1, syscall.ENOSPC, []Option{WithSizeLimit(1 << 30), WithFileLimit(1)}, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			faults := faultfs.New(afero.NewMemMapFs())
			m := managerAt(t, "/cache", append([]Option{WithFs(faults)}, tt.opts...)...)
			for _, name := range []string{"n0", "n1", "n2"} {
				require.NoError(t, m.Download(o.ServeSize("/"+name, 2000), name).Wait())
			}
			space := tt.space
			full := faults.ShortWrite(isPart, max(space, 0), tt.err)
			m.shelf.hooks.Evicted = func(Removed) {
				if space >= 0 {
					full()
				}
			}
			err := m.Download(o.ServeSize("/big", 1900), "big").Wait()
			assert.Equal(t, tt.fails, err != nil, "%v", err)
			if tt.fails {
				require.ErrorIs(t, err, tt.err)
				require.Error(t, m.Wait())
			}
			left := 0
			for _, name := range []string{"n0", "n1", "n2"} {
				if ok, _ := afero.Exists(faults, "/cache/"+name); ok {
					left++
				}
			}
			assert.Equal(t, 3-tt.gone, left)
			full()
			require.NoError(t, m.Download(o.ServeSize("/after", 10), "after").Wait(), "the cache is usable")
		})
	}
}

func isPart(name string) bool { return filepath.Ext(name) == ".part" }

func TestLeasedFilesArePassedOver(t *testing.T) {
	now := minute(100)
	s := newFakeShelf()
	p := NewPersistLimit(60, 1)
	p.cfg.now = func() time.Time { return now }
	s.fill(p, "abcdef")
	leased := true
	s.onRemove = func(name string) error {
		if leased && (name == "a" || name == "b") {
			return fs.ErrLeased
		}
		return nil
	}
	r, err := p.reserve(t.Context(), s, 10)
	require.NoError(t, err)
	assert.Equal(t, "abdef", s.left())
	tries := s.removes
	require.NoError(t, r.grow(t.Context(), 20))
	assert.Equal(t, "abef", s.left())
	assert.Equal(t, tries+1, s.removes, "they are not tried each time")
	require.NoError(t, r.grow(t.Context(), 59))
	u := p.Usage()
	assert.EqualValues(t, 20, u.Leased)
	assert.Equal(t, []Reason{ReasonReserved, ReasonLeased, ReasonFileLimit}, u.Why)
	leased = false
	now = now.Add(retryLeased)
	require.NoError(t, p.makeRoom(t.Context(), 0))
	assert.Equal(t, "f", s.left())
	r.release()
	p.check(t)
}

// restlessShelf is one in which others are at work all the time.
type restlessShelf struct {
	commonShelf
	usages int64
}

func (s *restlessShelf) path(name string) string { return "/fake/" + name }

func (s *restlessShelf) usage() fs.Usage {
	s.usages++
	return fs.Usage{Known: true, Changes: s.usages, Bytes: 100 * s.usages, Reserved: 10 * s.usages}
}

func TestWhatOthersDoMeanwhileLeavesTheLimitAsItIs(t *testing.T) {
	p := NewPersistLimit(1000, 1)
	d := p.lockDir(&restlessShelf{})
	defer p.mu.Unlock()
	require.Len(t, d.common, 1)
	for range 3 {
		assert.EqualValues(t, 1000, p.ceiling(d))
	}
}

func TestWhoWasFasterIsNoReasonToExceedTheLimit(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	require.NoError(t, managerAt(t, dir).Close())
	other, err := fs.Open(afero.NewOsFs(), dir, fs.Options{})
	require.NoError(t, err)
	defer other.Close()
	var evicted, exceeded atomic.Int32
	m := managerAt(t, dir, WithSizeLimit(1000), WithFileLimit(1), WithHooks(Hooks{
		Evicted: func(Removed) {
			if evicted.Add(1) == 1 { // before the room that this makes is taken
				other.Count(fs.Change{Files: 1, Bytes: 100})
			}
		},
		LimitExceeded: func(LimitUsage) { exceeded.Add(1) },
	}))
	fetch(t, m, o, 100, numbered(10)...)
	require.NoError(t, m.Download(o.ServeSize("/more", 100), "more").Wait())
	assert.EqualValues(t, 1000, m.dir.Usage().All())
	require.NoError(t, m.Close()) // the hook may be called after the room is taken
	assert.EqualValues(t, 2, evicted.Load())
	assert.Zero(t, exceeded.Load())
}
