package dlmanager

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHeldFilesAreNoCandidates(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(10, 1)
	early := p.hold(s, "a") // before it is registered
	s.fill(p, "abcdef")
	release, again := p.hold(s, "b"), p.hold(s, "b")
	_, err := p.trim(t.Context(), false)
	require.NoError(t, err)
	assert.Equal(t, "abf", s.left())
	p.check(t)
	release()
	release() // counts once
	_, err = p.trim(t.Context(), false)
	require.NoError(t, err)
	assert.Equal(t, "abf", s.left())
	early()
	again()
	_, err = p.trim(t.Context(), false)
	require.NoError(t, err)
	assert.Equal(t, "f", s.left())
	p.check(t)
}

func TestHeldFilesCountAmongTheNewestByTheirTime(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(10, 3)
	s.fill(p, "abcdef")
	defer p.hold(s, "a")()
	defer p.hold(s, "f")()
	_, err := p.trim(t.Context(), false)
	require.NoError(t, err)
	assert.Equal(t, "adef", s.left(), "d, e and f are the newest three")
}

func TestHoldWaitsForARemovalInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeShelf()
		p := NewPersistLimit(10, 1)
		s.fill(p, "ab")
		proceed := make(chan struct{})
		s.onRemove = func(string) error { <-proceed; return nil }
		go func() { assert.NoError(t, p.makeRoom(context.Background(), 0)) }()
		synctest.Wait()
		release := p.hold(s, "b") // another file's hold does not wait
		var held atomic.Bool
		go func() {
			p.hold(s, "a")()
			held.Store(true)
			assert.Equal(t, "b", s.left())
		}()
		synctest.Wait()
		assert.False(t, held.Load())
		close(proceed)
		synctest.Wait()
		assert.True(t, held.Load())
		release()
		p.check(t)
	})
}

func TestTheEndOfAHoldEvictsWhatHasToGo(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(10, 1)
	now := time.Now()
	first, err := p.reserve(t.Context(), s, 6)
	require.NoError(t, err)
	second, err := p.reserve(t.Context(), s, 6)
	require.NoError(t, err)
	endFirst, endSecond := p.hold(s, "a"), p.hold(s, "b")
	s.put("a", 6, now)
	first.land("a", 6, now, -1)
	s.put("b", 6, now.Add(time.Second))
	second.land("b", 6, now.Add(time.Second), -1)
	assert.EqualValues(t, 12, p.Usage().Bytes)
	endFirst()
	endSecond()
	assert.Equal(t, "b", s.left())
	p.check(t)
}

func TestForgetShelf(t *testing.T) {
	s, other := newFakeShelf(), newFakeShelf()
	other.root = "/other"
	p := NewPersistLimit(1000, 2)
	s.fill(p, "abcdef")
	other.fill(p, "abc")
	p.forgetShelf(s)
	p.forgetShelf(s)
	assert.Equal(t, LimitUsage{Files: 3, Bytes: 30, Limit: 1000}, p.Usage())
	p.check(t)
	p.forget(other, "b")
	p.forget(other, "b")
	p.forget(other, "unknown")
	p.forget(s, "a")
	assert.Equal(t, 2, p.Usage().Files)
	p.check(t)
}

func TestForgetShelfWaitsForTheShelfInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeShelf()
		p := NewPersistLimit(10, 1)
		s.fill(p, "abc")
		proceed := make(chan struct{})
		s.onRemove = func(string) error { <-proceed; return nil }
		go func() { assert.NoError(t, p.makeRoom(context.Background(), 0)) }()
		synctest.Wait()
		var forgotten atomic.Bool
		go func() { p.forgetShelf(s); forgotten.Store(true) }()
		synctest.Wait()
		assert.False(t, forgotten.Load())
		assert.Zero(t, p.Usage().Bytes)
		close(proceed)
		synctest.Wait()
		assert.True(t, forgotten.Load())
		assert.Equal(t, 1, s.removes, "the pass has no more to do")
		p.check(t)
	})
}

func TestHooksMayUseTheLimit(t *testing.T) {
	s := newFakeShelf()
	p := NewPersistLimit(30, 1)
	s.fill(p, "abcdef")
	var inside atomic.Bool
	s.onEvict = func(r Removed) {
		if inside.Swap(true) {
			return
		}
		p.hold(s, filepath.Base(r.Path))()
		room, err := p.reserve(context.Background(), s, 10)
		assert.NoError(t, err)
		room.release()
		_, err = p.RemoveOldFiles()
		assert.NoError(t, err)
	}
	_, err := p.RemoveOldFiles()
	require.NoError(t, err)
	assert.Equal(t, "ef", s.left())
}
