package dlmanager

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestCancelInTheQueue(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithMaxConcurrent(1))
	first := m.Download(o.Serve("/first", nil, testorigin.Silent()), "first")
	<-o.Arrived("/first", 1)
	second := m.Download(o.Serve("/second", nil), "second")
	assert.Equal(t, StateQueued, second.Progress().State)
	second.Cancel()
	require.ErrorIs(t, second.Wait(), ErrCanceled)
	assert.True(t, first.IsRunning())
	first.Cancel()
	require.ErrorIs(t, first.Wait(), ErrCanceled)
	assert.Zero(t, o.Count("/second"))
}

func TestWhatSomebodyElseFetchedWhileInTheQueueIsFound(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir, WithMaxConcurrent(1))
	first := m.Download(o.Serve("/first", nil, testorigin.Silent()), "first")
	<-o.Arrived("/first", 1)
	second := m.Download(o.Serve("/second", []byte("x")), "second")
	third := m.Download(o.Serve("/third", []byte("x")), "third")

	other := managerAt(t, dir) // as if in another process
	require.NoError(t, other.Download(o.URL("/second"), "second").Wait())
	first.Cancel()
	require.NoError(t, second.Wait())
	assert.Equal(t, OriginCached, second.Result().Origin)
	assert.Equal(t, 1, o.Count("/second"))
	require.NoError(t, third.Wait(), "the place in the queue was given back")
}

func TestTheQueueKeepsItsOrder(t *testing.T) {
	o := testorigin.New(t)
	var order events
	m := newManager(t, WithMaxConcurrent(1))
	first := m.Download(o.Serve("/first", nil, testorigin.Silent()), "first")
	<-o.Arrived("/first", 1)
	var want []string
	for i := range 20 {
		path := fmt.Sprint("/file", i)
		d := m.Download(o.Serve(path, []byte("x")), path[1:], order.begun())
		if i%5 == 4 {
			d.Cancel() // who gives up in the queue does not take a place with it
			require.ErrorIs(t, d.Wait(), ErrCanceled)
			continue
		}
		want = append(want, path[1:])
	}
	first.Cancel()
	require.NoError(t, m.Wait())
	assert.Equal(t, want, order.all())
}

func TestWhatFailsBeforeItIsAdmittedGivesItsPlaceBack(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("x"))
	m := newManager(t, WithMaxConcurrent(1))
	panics := WithHooks(Hooks{Started: func(*Download) { panic("boom") }})
	require.ErrorContains(t, m.Download(url, "first", panics).Wait(), "boom")
	require.NoError(t, m.Download(url, "second").Wait())
	require.Error(t, m.Wait())
}

func TestAtMostSoManyAtOnce(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithMaxConcurrent(3))
	for i := range 50 {
		path := fmt.Sprint("/file", i)
		m.Download(o.ServeSize(path, 10_000), path[1:])
	}
	require.NoError(t, m.Wait())
	assert.LessOrEqual(t, o.MaxConcurrent(), 3)
}
