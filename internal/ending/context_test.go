package ending

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errWhy = errors.New("why")

// told counts how often it was told.
type told struct{ n int }

func (w *told) Ended() { w.n++ }

func TestTheFirstCauseStands(t *testing.T) {
	for _, c := range []struct{ given, want error }{{errWhy, errWhy}, {nil, context.Canceled}} {
		var ctx Context
		before := ctx.Done()
		require.NoError(t, ctx.Err())
		require.NoError(t, context.Cause(&ctx))
		ctx.End(c.given)
		ctx.End(errors.New("another"))
		require.Equal(t, c.want, ctx.Err())
		require.Equal(t, c.want, context.Cause(&ctx))
		<-before
		<-ctx.Done()
	}
}

func TestDoneOfWhatHasEnded(t *testing.T) {
	var ctx Context
	ctx.End(errWhy)
	<-ctx.Done()
}

func TestAChildEndsWithItsParent(t *testing.T) {
	std, end := context.WithCancelCause(context.Background())
	defer end(nil)
	var own Context
	for name, c := range map[string]struct {
		parent context.Context
		end    context.CancelCauseFunc
	}{"package context's": {std, end}, "ours": {&own, own.End}} {
		t.Run(name, func(t *testing.T) {
			var child, grandchild, late Context
			child.Begin(c.parent)
			grandchild.Begin(&child)
			c.end(errWhy)
			<-grandchild.Done()
			require.Equal(t, errWhy, grandchild.Err())
			require.Equal(t, errWhy, child.Err())
			late.Begin(c.parent)
			<-late.Done()
			require.Equal(t, errWhy, late.Err())
		})
	}
}

func TestAParentKeepsNoChildThatHasEnded(t *testing.T) {
	var parent Context
	for range 3 {
		var child Context
		child.Begin(&parent)
		child.End(errWhy)
	}
	assert.Empty(t, parent.waiters)
	require.NoError(t, parent.Err())
	var child Context
	child.Begin(context.Background()) // which never ends
	child.End(errWhy)
	require.Equal(t, errWhy, child.Err())
}

func TestWaitersAreToldOnce(t *testing.T) {
	var ctx Context
	var all [5]told
	for i := range all {
		ctx.Attach(&all[i])
	}
	assert.True(t, ctx.Detach(&all[3]))
	assert.False(t, ctx.Detach(&all[3]))
	ctx.End(errWhy)
	ctx.End(errWhy)
	assert.Equal(t, [5]told{{1}, {1}, {1}, {0}, {1}}, all)
	assert.False(t, ctx.Detach(&all[0]))
	var late told
	ctx.Attach(&late)
	assert.Equal(t, told{1}, late)
	assert.False(t, ctx.Detach(&late))
}

func TestABond(t *testing.T) {
	std, end := context.WithCancel(context.Background())
	defer end()
	for name, ctx := range map[string]context.Context{"ours": &Context{}, "package context's": std, "endless": context.Background()} {
		var w told
		bond := Tie(ctx, &w)
		assert.True(t, bond.Untie(&w), name)
		assert.Zero(t, w.n, name)
	}
	end()
	var ended Context
	ended.End(nil)
	for name, ctx := range map[string]context.Context{"ours": &ended, "package context's": std} {
		var w told
		bond := Tie(ctx, &w)
		assert.Equal(t, 1, w.n, name)
		assert.False(t, bond.Untie(&w), name)
		var child Context
		child.Begin(ctx)
		require.ErrorIs(t, child.Err(), context.Canceled, name)
	}
	assert.False(t, Bond{}.Untie(&told{}))
}

func TestChildrenOfPackageContext(t *testing.T) {
	type key struct{}
	var ctx Context
	ctx.Begin(context.WithValue(context.Background(), key{}, "value"))
	assert.Equal(t, "value", ctx.Value(key{}))
	child, release := context.WithCancel(&ctx)
	defer release()
	ran := make(chan struct{})
	stopped := context.AfterFunc(&ctx, func() { panic("it was stopped") })
	context.AfterFunc(&ctx, func() { close(ran) })
	require.True(t, stopped())
	ctx.End(errWhy)
	<-ran
	<-child.Done()
	require.Equal(t, errWhy, context.Cause(child))
}

func TestAStandardContextIsCancelled(t *testing.T) {
	var ctx Context
	std, release := Standard(&ctx)
	defer release()
	require.NoError(t, std.Err())
	ctx.End(errWhy)
	require.Equal(t, context.Canceled, std.Err())
	require.Equal(t, errWhy, context.Cause(std))
	late, release := Standard(&ctx)
	defer release()
	require.Equal(t, errWhy, context.Cause(late))

	var other Context
	std, release = Standard(&other)
	release()
	require.Equal(t, context.Canceled, std.Err())
	assert.Empty(t, other.waiters)
}

func TestWithoutAParent(t *testing.T) {
	var ctx Context
	_, bounded := ctx.Deadline()
	assert.False(t, bounded)
	assert.Nil(t, ctx.Value("key"))
}

// The parent ends while its children begin, wait and end.
func TestEndsAtOnce(t *testing.T) {
	for range 100 {
		var parent Context
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				var child Context
				child.Begin(&parent)
				all.Go(func() { child.End(nil) })
				<-child.Done()
				assert.Error(t, child.Err())
			})
		}
		all.Go(func() { parent.End(errWhy) })
		all.Wait()
	}
}
