package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReserveEvictsBeforeItReturns(t *testing.T) {
	for _, tt := range []struct {
		n    int64
		want string
	}{
		{0, "abcdef"},
		{-5, "abcdef"},
		{4, "abcdef"},
		{5, "abcdef"},
		{6, "bcdef"},
		{15, "bcdef"},
		{16, "cdef"},
		{55, "f"},
		{65, "f"},
		{66, "abcdef"},
	} {
		t.Run(fmt.Sprint(tt.n), func(t *testing.T) {
			s := newFakeShelf()
			p := NewPersistLimit(65, 1)
			s.fill(p, "abcdef")
			r, err := p.reserve(t.Context(), s, tt.n)
			require.NoError(t, err)
			assert.Equal(t, tt.want, s.left())
			assert.Equal(t, max(tt.n, 0), p.Usage().Reserved)
			r.release()
			r.release()
			assert.Zero(t, p.Usage().Reserved)
			assert.Equal(t, len(tt.want), p.Usage().Files)
			p.check(t)
		})
	}
}

func TestLandTurnsTheRoomIntoTheFile(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(65, 1)
	s.fill(p, "abcdef")
	r, err := p.reserve(t.Context(), s, 5)
	require.NoError(t, err)
	s.put("g", 25, minute(10)) // more than was announced
	r.land("g", 25, minute(10), -1)
	assert.Equal(t, "cdefg", s.left())
	assert.Equal(t, LimitUsage{Files: 5, Bytes: 65, Limit: 65}, p.Usage())
	r.release()
	require.NoError(t, r.grow(t.Context(), 50))
	assert.Zero(t, p.Usage().Reserved, "a room that landed does not grow")

	r, err = p.reserve(t.Context(), s, 10)
	require.NoError(t, err)
	s.put("g", 10, minute(11)) // replaced
	r.land("g", 10, minute(11), -1)
	assert.Equal(t, "defg", s.left(), "both versions were there for a while")
	assert.Equal(t, LimitUsage{Files: 4, Bytes: 40, Limit: 65}, p.Usage())
	p.check(t)
}

func TestANilRoomIsBoundless(t *testing.T) {
	var r *room
	require.NoError(t, r.grow(t.Context(), math.MaxInt64))
	r.land("a", 1, minute(0), -1)
	r.release()
}

func TestRoomsGrowInSteps(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		name          string
		limit         int64
		have, n, want int64
	}{
		{"first bytes", 10 << 30, 0, 1000, mib},
		{"doubles", 10 << 30, 8 * mib, 8*mib + 1, 16 * mib},
		{"up to 64 MiB", 10 << 30, 1 << 30, 1<<30 + 1, 1<<30 + 64*mib},
		{"much at once", 10 << 30, 0, 100 * mib, 100 * mib},
		{"a small limit", 6400, 0, 10, 100},
		{"a tiny limit", 10, 0, 3, 3},
		{"not past the limit", 64 * mib, 64*mib - 5, 64*mib - 3, 64 * mib},
		{"past the limit if needed", 64 * mib, 64 * mib, 64*mib + 1, 64*mib + 1},
		{"without a limit", 0, 0, 1000, mib},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newFakeShelf()
			p := NewPersistLimit(tt.limit, 1)
			r, err := p.reserve(t.Context(), s, tt.have)
			require.NoError(t, err)
			require.NoError(t, r.grow(t.Context(), tt.have))
			assert.Equal(t, tt.have, p.Usage().Reserved)
			require.NoError(t, r.grow(t.Context(), tt.n))
			assert.Equal(t, tt.want, p.Usage().Reserved)
		})
	}
}

func TestLengthsThatNoDiskHoldsDoNotOverflow(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(100, 1)
	s.fill(p, "abc")
	for range 20 {
		_, err := p.reserve(t.Context(), s, math.MaxInt64)
		require.NoError(t, err)
	}
	assert.Equal(t, "abc", s.left())
	assert.Positive(t, p.Usage().Over)
	p.add(s, "a", math.MaxInt64, minute(0))
	assert.Positive(t, p.Usage().Bytes)
}

func TestReserveEndsWithItsContext(t *testing.T) {
	gone := errors.New("gave up")
	s := newFakeShelf()
	p := NewPersistLimit(60, 1)
	s.fill(p, "abcdef")
	reached, proceed := make(chan struct{}), make(chan struct{})
	s.onRemove = func(string) error {
		close(reached)
		<-proceed
		return nil
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		r, err := p.reserve(context.Background(), s, 10)
		assert.NoError(t, err)
		r.release()
	})
	<-reached
	ctx, cancel := context.WithCancelCause(context.Background())
	wg.Go(func() {
		r, err := p.reserve(ctx, s, 20)
		assert.ErrorIs(t, err, gone)
		assert.Nil(t, r)
		assert.Equal(t, int64(10), p.Usage().Reserved, "only the first one's")
		close(proceed)
	})
	cancel(gone)
	wg.Wait()
	assert.Zero(t, p.Usage().Reserved)
	assert.Equal(t, "bcdef", s.left())
	p.check(t)
}

func TestAPassEndsWithItsContext(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(10, 1)
	s.fill(p, "abcdef")
	ctx, cancel := context.WithCancel(context.Background())
	s.after = func(string, int64) { cancel() }
	_, err := p.reserve(ctx, s, 1)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, "bcdef", s.left())
	assert.Equal(t, "a", s.log, "what went is told")
	assert.Empty(t, s.told, "there is more to evict")
	p.turn <- struct{}{}
	_, err = p.trim(ctx, false)
	require.ErrorIs(t, err, context.Canceled)
	<-p.turn
	p.check(t)
}

// disk counts what really lies on a fake shelf, plus the rooms that were given.
type disk struct {
	t     *testing.T
	limit int64
	bytes atomic.Int64
}

func (d *disk) grow(n int64) {
	if now := d.bytes.Add(n); now > d.limit {
		d.t.Errorf("%d bytes on disk and reserved, the limit is %d", now, d.limit)
	}
}

func TestTheLimitHoldsAtEveryMoment(t *testing.T) {
	const workers, rounds = 8, 300
	d := &disk{t: t, limit: 10_000}
	s := newFakeShelf()
	p := NewPersistLimit(d.limit, 1)
	s.after = func(_ string, size int64) { d.bytes.Add(-size) }
	var clock atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 2))
			for i := range rounds {
				d.download(p, s, fmt.Sprintf("%d-%d", w, i), rnd.Int64N(1000), &clock)
			}
		})
	}
	wg.Wait()
	p.check(t)
	u := p.Usage()
	assert.Zero(t, u.Reserved)
	assert.Equal(t, d.bytes.Load(), u.Bytes)
	assert.Empty(t, s.told)
	assert.Positive(t, s.removes)
}

// download plays one download: its bytes count from when its room is given.
// One in ten grows to its size, one in ten fails.
func (d *disk) download(p *PersistLimit, s *fakeShelf, name string, size int64, clock *atomic.Int64) {
	defer p.hold(s, name)()
	first := size
	if size%10 == 0 {
		first = 0
	}
	r, err := p.reserve(context.Background(), s, first)
	assert.NoError(d.t, err)
	defer r.release()
	assert.NoError(d.t, r.grow(context.Background(), size))
	d.grow(size)
	if size%10 == 1 {
		d.bytes.Add(-size) // the partial file is removed, then the room given back
		return
	}
	used := minute(int(clock.Add(1)))
	s.put(name, size, used)
	r.land(name, size, used, -1)
}

func TestLandingWhileTheOldVersionIsBeingEvicted(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(p *PersistLimit, s *fakeShelf) // the removal from the disk
		after  func(p *PersistLimit, s *fakeShelf) // and after it, before it returns
		want   LimitUsage
	}{
		{
			name: "landed before it", want: LimitUsage{Files: 1, Bytes: 10, Limit: 15},
			before: func(p *PersistLimit, s *fakeShelf) {
				s.put("a", 4, minute(9))
				p.add(s, "a", 4, minute(9))
			},
		},
		{
			name: "landed after it", want: LimitUsage{Files: 2, Bytes: 14, Limit: 15},
			after: func(p *PersistLimit, s *fakeShelf) {
				s.put("a", 4, minute(9))
				p.add(s, "a", 4, minute(9))
			},
		},
		{
			name: "forgotten", want: LimitUsage{Files: 1, Bytes: 10, Limit: 15},
			before: func(p *PersistLimit, s *fakeShelf) { p.forget(s, "a") },
		},
		{
			name: "forgotten, landed after it", want: LimitUsage{Files: 2, Bytes: 14, Limit: 15},
			before: func(p *PersistLimit, s *fakeShelf) { p.forget(s, "a") },
			after: func(p *PersistLimit, s *fakeShelf) {
				s.put("a", 4, minute(9))
				p.add(s, "a", 4, minute(9))
			},
		},
		{
			name: "forgotten, landed before it", want: LimitUsage{Files: 1, Bytes: 10, Limit: 15},
			before: func(p *PersistLimit, s *fakeShelf) {
				p.forget(s, "a")
				s.put("a", 4, minute(9))
				p.add(s, "a", 4, minute(9))
			},
		},
		{
			name: "removed by another", want: LimitUsage{Files: 1, Bytes: 10, Limit: 15},
			before: func(_ *PersistLimit, s *fakeShelf) { _ = s.take("a") },
		},
		{
			name: "removed by another, landed after that", want: LimitUsage{Files: 1, Bytes: 10, Limit: 15},
			before: func(p *PersistLimit, s *fakeShelf) {
				_ = s.take("a")
				s.put("a", 4, minute(9))
				p.add(s, "a", 4, minute(9))
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newFakeShelf()
			p := NewPersistLimit(15, 1)
			s.fill(p, "ab")
			s.onRemove = func(string) error {
				if tt.before != nil {
					tt.before(p, s)
				}
				return nil
			}
			if tt.after != nil {
				s.after = func(string, int64) { tt.after(p, s) }
			}
			require.NoError(t, p.makeRoom(t.Context(), 0))
			assert.Equal(t, tt.want, p.Usage())
			assert.Len(t, s.left(), tt.want.Files)
			p.check(t)
		})
	}
}

// take removes a file as another process would.
func (s *fakeShelf) take(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.files[name]; !ok {
		return os.ErrNotExist
	}
	delete(s.files, name)
	return nil
}

// TestEverythingAtOnce races all that may happen to few names, then compares
// the accounts with what is there.
func TestEverythingAtOnce(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(200, 2)
	var clock atomic.Int64
	locks := map[string]*sync.Mutex{} // one download a name, as the manager has it
	for i := range 12 {
		locks[fmt.Sprint(i)] = &sync.Mutex{}
	}
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 3))
			for range 500 {
				name := fmt.Sprint(rnd.IntN(12))
				switch rnd.IntN(6) {
				case 0:
					locks[name].Lock()
					if s.take(name) == nil {
						p.forget(s, name)
					}
					locks[name].Unlock()
				case 1:
					p.touch(s, name, minute(int(clock.Add(1))))
				case 2:
					_, err := p.RemoveOldFiles()
					assert.NoError(t, err)
				default:
					locks[name].Lock()
					landOne(t, p, s, name, 10+rnd.Int64N(40), &clock)
					locks[name].Unlock()
				}
			}
		})
	}
	wg.Wait()
	p.check(t)
	var files int
	var bytes int64
	for _, f := range s.files {
		files, bytes = files+1, bytes+f.size
	}
	assert.Equal(t, LimitUsage{Files: files, Bytes: bytes, Limit: 200}, p.Usage())
}

// landOne downloads name, and finds it there as long as it is held.
func landOne(t *testing.T, p *PersistLimit, s *fakeShelf, name string, size int64, clock *atomic.Int64) {
	release := p.hold(s, name)
	defer release()
	r, err := p.reserve(context.Background(), s, size)
	assert.NoError(t, err)
	used := minute(int(clock.Add(1)))
	s.put(name, size, used)
	r.land(name, size, used, -1)
	_, _, err = s.stat(name)
	assert.NoError(t, err, "a held file stays")
}

func TestAnotherLimitCountsTheRoomsThatAreLeft(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(100, 1)
	var rooms []*room
	for _, n := range []int64{10, 20, 30, 35} {
		r, err := p.reserve(t.Context(), s, n)
		require.NoError(t, err)
		rooms = append(rooms, r)
	}
	for _, step := range []struct {
		released int
		left     int64
	}{{1, 75}, {0, 65}, {1, 65}, {3, 30}, {2, 0}} {
		rooms[step.released].release()
		p.setLimit(200)
		assert.Equal(t, step.left, p.Usage().Reserved)
	}
}
