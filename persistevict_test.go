package dlmanager

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAFailedRemovalIsReportedAndTheNextTried(t *testing.T) {
	denied := errors.New("denied")
	s := newFakeShelf()
	p := NewPersistLimit(30, 1)
	s.fill(p, "abcdef")
	s.onRemove = func(name string) error {
		if name == "a" {
			return denied
		}
		return nil
	}
	s.onStat = func(name string) error {
		if name == "b" {
			return denied
		}
		return nil
	}
	removed, err := p.RemoveOldFiles()
	require.ErrorIs(t, err, denied)
	assert.Contains(t, err.Error(), s.path("a"))
	assert.Contains(t, err.Error(), s.path("b"))
	assert.Equal(t, 2, strings.Count(err.Error(), "denied"), "each is tried once")
	assert.Len(t, removed, 3)
	assert.Equal(t, "abf", s.left())
	assert.Equal(t, LimitUsage{Files: 3, Bytes: 30, Limit: 30}, p.Usage(), "they keep counting")
	p.check(t)

	s.put("g", 10, minute(9))
	p.add(s, "g", 10, minute(9))
	s.onRemove, s.onStat = nil, nil
	_, err = p.RemoveOldFiles()
	require.NoError(t, err)
	assert.Equal(t, "bfg", s.left(), "the next call tries again")
	p.check(t)
}

func TestDownloadsTryAFailedRemovalAgainAfterAWhile(t *testing.T) {
	now := minute(100)
	var log strings.Builder
	s := newFakeShelf()
	p := NewPersistLimit(30, 1, limitOption(func(c *limitConfig) {
		c.now = func() time.Time { return now }
		c.logger = slog.New(slog.NewTextHandler(&log, nil))
	}))
	s.fill(p, "abcd")
	s.onRemove = func(string) error { return errors.New("denied") }
	for range 3 {
		r, err := p.reserve(t.Context(), s, 1)
		require.NoError(t, err, "no download fails because another file cannot go")
		r.release()
	}
	assert.Equal(t, 3, s.removes, "a, b and c once each")
	assert.Equal(t, 3, strings.Count(log.String(), "denied"))
	assert.Len(t, s.told, 1)

	now = now.Add(retryFailed)
	s.onRemove = nil
	r, err := p.reserve(t.Context(), s, 1)
	require.NoError(t, err)
	r.release()
	assert.Equal(t, "cd", s.left())
	p.check(t)
}

func TestLandingAnewMakesACandidateOfAFailedFile(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(10, 1)
	s.fill(p, "ab")
	s.onRemove = func(string) error { return errors.New("denied") }
	_, err := p.trim(t.Context(), false)
	require.Error(t, err)
	s.onRemove = nil
	p.add(s, "a", 10, minute(0))
	require.NoError(t, p.makeRoom(t.Context(), 0))
	assert.Equal(t, "b", s.left())
}

func TestGraceProtectsWhatWasUsedWithinIt(t *testing.T) {
	now := minute(6)
	s := newFakeShelf()
	p := NewPersistLimit(10, 1, limitOption(func(c *limitConfig) {
		c.grace = 3 * time.Minute
		c.now = func() time.Time { return now }
	}))
	s.fill(p, "abcdef") // used 6, 5, 4, 3, 2, 1 minutes ago
	_, err := p.trim(t.Context(), false)
	require.NoError(t, err)
	assert.Equal(t, "ef", s.left(), "d was used exactly that long ago")
	assert.Equal(t, 4, s.stats, "what is known to be in grace is not looked at")
	require.Len(t, s.told, 1)
	assert.Equal(t, LimitUsage{
		Files: 2, Bytes: 20, Limit: 10, Over: 10, Grace: 10, Newest: 10, Why: []Reason{ReasonGrace, ReasonFileLimit},
	}, s.told[0])

	now = minute(7)
	_, err = p.trim(t.Context(), false)
	require.NoError(t, err)
	assert.Equal(t, "f", s.left())
	assert.Len(t, s.told, 1)
}

func TestATimeFarInTheFutureIsNoGrace(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(10, 1, limitOption(func(c *limitConfig) {
		c.grace = time.Hour
		c.now = func() time.Time { return minute(0) }
	}))
	for i, name := range []string{"x", "y"} {
		used := minute(0).AddDate(50+i, 0, 0)
		s.put(name, 10, used)
		p.add(s, name, 10, used)
	}
	_, err := p.trim(t.Context(), false)
	require.NoError(t, err)
	assert.Equal(t, "y", s.left())
}

func TestATouchSavesAFile(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(30, 1)
	s.fill(p, "abcdef")
	p.touch(s, "a", minute(10)) // a hint: the disk knows nothing of it
	p.touch(s, "b", minute(0))  // no news
	p.touch(s, "unknown", minute(10))
	p.touch(newFakeShelf(), "a", minute(20))
	_, err := p.trim(t.Context(), false)
	require.NoError(t, err)
	assert.Equal(t, "aef", s.left())
	p.check(t)
}

func TestATouchBetweenLookAndRemovalSavesAFile(t *testing.T) {
	for _, tt := range []struct {
		name string
		act  func(p *PersistLimit, s *fakeShelf)
	}{
		{"touch", func(p *PersistLimit, s *fakeShelf) { p.touch(s, "a", minute(10)) }},
		{"hold", func(p *PersistLimit, s *fakeShelf) { p.hold(s, "a") }},
		{"land", func(p *PersistLimit, s *fakeShelf) { p.add(s, "a", 10, minute(10)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newFakeShelf()
			p := NewPersistLimit(50, 1)
			s.fill(p, "abcdef")
			s.onStat = func(name string) error {
				if name == "a" {
					tt.act(p, s)
				}
				return nil
			}
			require.NoError(t, p.makeRoom(t.Context(), 0))
			assert.Equal(t, "acdef", s.left())
			p.check(t)
		})
	}
}

func TestAPassEndsWhereEveryAccessTimeIsNow(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(10, 1)
	s.fill(p, "abcdef")
	clock := 100
	s.onStat = func(name string) error {
		clock++
		s.put(name, 10, minute(clock))
		return nil
	}
	_, err := p.trim(t.Context(), false)
	require.NoError(t, err)
	assert.Len(t, s.left(), 1)
	assert.Less(t, s.stats, 18)
	p.check(t)
}

func TestAnotherSizeIsAccounted(t *testing.T) {
	for _, tt := range []struct {
		name  string
		size  int64 // of a, by now
		limit int64
		want  string
		bytes int64
	}{
		{"smaller, and all is well", 1, 55, "abcdef", 51},
		{"smaller, but not enough", 1, 50, "bcdef", 50},
		{"larger", 30, 55, "bcdef", 50},
		{"larger than the limit", 100, 55, "bcdef", 50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newFakeShelf()
			p := NewPersistLimit(tt.limit, 1)
			s.fill(p, "abcdef")
			s.put("a", tt.size, minute(0))
			require.NoError(t, p.makeRoom(t.Context(), 0))
			assert.Equal(t, tt.want, s.left())
			assert.Equal(t, tt.bytes, p.Usage().Bytes)
			p.check(t)
		})
	}
}

func TestRoomGivenBackBetweenLookAndRemovalSavesAFile(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(60, 1)
	s.fill(p, "abcdef")
	r := &room{p: p, shelf: s, dir: p.lockDir(s)}
	r.open()
	r.resize(10)
	p.unlock()
	s.onStat = func(string) error { r.release(); return nil }
	require.NoError(t, p.makeRoom(t.Context(), 0))
	assert.Equal(t, "abcdef", s.left())
	p.check(t)
}

func TestRecountSeesWhatLandsMeanwhile(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(50, 1)
	s.fill(p, "abcdef")
	_ = s.take("a")
	var once sync.Once
	s.onStat = func(name string) error {
		if name != "a" {
			return nil
		}
		var err error
		once.Do(func() { // it lands just after the look at the disk
			err = os.ErrNotExist
			s.put("a", 7, minute(9))
			p.add(s, "a", 7, minute(9))
		})
		return err
	}
	_, err := p.RemoveOldFiles()
	require.NoError(t, err)
	assert.Equal(t, "acdef", s.left())
	assert.Equal(t, int64(47), p.Usage().Bytes)
	p.check(t)
}

func TestAFileLargerThanTheLimitDoesNotEmptyTheCache(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(60, 2)
	s.fill(p, "abcdef")
	r, err := p.reserve(t.Context(), s, 1000)
	require.NoError(t, err)
	assert.Equal(t, "abcdef", s.left())
	require.Len(t, s.told, 1)
	assert.Equal(t, LimitUsage{Files: 6, Bytes: 60, Reserved: 1000, Limit: 60, Over: 1000, Newest: 20, Why: []Reason{ReasonReserved, ReasonFileLimit}}, s.told[0])

	s.put("x", 1000, minute(20))
	r.land("x", 1000, minute(20), -1)
	assert.Equal(t, "abcdefx", s.left())
	assert.Len(t, s.told, 1, "reported once")
	assert.Equal(t, int64(1000), p.Usage().Over)

	r, err = p.reserve(t.Context(), s, 10)
	require.NoError(t, err)
	assert.Equal(t, "bcdefx", s.left(), "small ones go as if it were not there")
	r.release()

	for i, name := range []string{"y", "z"} { // now x is not among the newest two
		s.put(name, 1, minute(30+i))
		p.add(s, name, 1, minute(30+i))
	}
	_, err = p.trim(t.Context(), false)
	require.NoError(t, err)
	assert.Equal(t, "bcdefyz", s.left(), "it goes before the older ones")
	assert.Zero(t, p.Usage().Over)
	p.check(t)
}

func TestAnOversizeFileIsNotChargedWhileItCannotGo(t *testing.T) {
	now := minute(100)
	for _, tt := range []struct {
		name    string
		grace   time.Duration
		protect func(p *PersistLimit, s *fakeShelf) (free func())
	}{
		{"held", 0, func(p *PersistLimit, s *fakeShelf) func() { return p.hold(s, "x") }},
		{"failed", 0, func(_ *PersistLimit, s *fakeShelf) func() {
			s.onRemove = func(string) error { return errors.New("denied") }
			return func() { s.onRemove = nil }
		}},
		{"grace", time.Hour, func(p *PersistLimit, s *fakeShelf) func() {
			s.put("x", 1000, now)
			p.touch(s, "x", now)
			for i := range 2 { // newer ones, or it would be kept for that
				name := fmt.Sprint(i)
				s.put(name, 1, now.Add(time.Minute))
				p.add(s, name, 1, now.Add(time.Minute))
			}
			return func() { now = now.Add(2 * time.Hour) }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newFakeShelf()
			p := NewPersistLimit(60, 2, limitOption(func(c *limitConfig) {
				c.grace = tt.grace
				c.now = func() time.Time { return now }
			}))
			s.put("x", 1000, minute(-1))
			p.add(s, "x", 1000, minute(-1))
			s.fill(p, "abcd")
			free := tt.protect(p, s)
			before := s.left()
			_, _ = p.trim(t.Context(), false)
			assert.Equal(t, before, s.left())
			assert.Len(t, s.told, 1)
			free()
			_, err := p.trim(t.Context(), false)
			require.NoError(t, err)
			assert.Equal(t, strings.Trim(before, "x"), s.left())
			p.check(t)
		})
	}
}

func TestExceededIsToldOncePerTransition(t *testing.T) {
	s, other := newFakeShelf(), newFakeShelf()
	other.root = "/other"
	p := NewPersistLimit(20, 5)
	p.add(other, "o", 1, minute(0))
	s.fill(p, "ab")
	for range 3 {
		_, err := p.trim(t.Context(), false)
		require.NoError(t, err)
	}
	assert.Len(t, s.told, 1)
	assert.Equal(t, s.told, other.told, "whoever shares the limit is told")
	p.forget(s, "a")
	p.add(s, "a", 10, minute(0))
	_, err := p.trim(t.Context(), false)
	require.NoError(t, err)
	assert.Len(t, s.told, 2)
}
