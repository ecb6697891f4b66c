package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func textLogger(w *strings.Builder) *slog.Logger {
	var mu sync.Mutex
	return slog.New(slog.NewTextHandler(lockedWriter{&mu, w}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type lockedWriter struct {
	mu *sync.Mutex
	w  *strings.Builder
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func TestDownloadIntoTheCache(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	d := m.Download(o.Serve("/file", []byte("hello")), "sub/name")
	require.NoError(t, d.Wait())
	dest, err := m.Dest("sub/name")
	require.NoError(t, err)
	assert.Equal(t, dest, d.Dest())
	assert.True(t, filepath.IsAbs(dest))
	requireContent(t, "hello", dest)
	assert.Equal(t, OriginFetched, d.Result().Origin)
}

func TestAWaitedDownloadHasLeftTheManager(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	m := newManager(t)
	d := m.Download(o.Serve("/file", []byte("x"), testorigin.Gate(gate)), "name")
	assert.Equal(t, []*Download{d}, m.Downloads())
	close(gate)
	require.NoError(t, d.Wait())
	assert.Empty(t, m.Downloads())
}

func TestErrorAndCancelLeaveNeitherFileNorTemp(t *testing.T) {
	o := testorigin.New(t)
	for path, opt := range map[string]testorigin.Option{
		"/cut": testorigin.CutAfter(10), "/reset": testorigin.ResetAfter(10), "/missing": testorigin.Status(404, ""),
	} {
		m := newManager(t) // closing asserts that no partial is left
		d := m.Download(o.ServeSize(path, 1000, opt), "name")
		require.Error(t, d.Wait())
		assert.NoFileExists(t, d.Dest())
	}
	m := newManager(t)
	d := m.Download(o.ServeSize("/slow", 1000, testorigin.SilentAfter(10)), "name")
	<-o.Arrived("/slow", 1)
	d.Cancel()
	require.ErrorIs(t, d.Wait(), ErrCanceled)
	assert.NoFileExists(t, d.Dest())
}

func TestDownloadAfterCancelStartsAfresh(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	url := o.Serve("/file", []byte("hello"), testorigin.Sequence(testorigin.SilentAfter(2), testorigin.Gate(gate)))
	var hold sync.WaitGroup
	hold.Add(1)
	m := newManager(t)
	d := m.Download(url, "name", WithHooks(Hooks{Finished: func(*Download) { hold.Wait() }}))
	<-o.Arrived("/file", 1)
	d.Cancel()
	second := m.Download(url, "name")
	assert.NotSame(t, d, second)
	third := m.Download(url, "name")
	assert.Same(t, second, third)
	close(gate)
	hold.Done()
	require.NoError(t, second.Wait())
	require.ErrorIs(t, d.Wait(), ErrCanceled)
	requireContent(t, "hello", second.Dest())
}

func TestTheDirectoryIsMadeAndWhatIsThereIsNotFetched(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("from the server"))
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	m := managerAt(t, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "name"), []byte("there"), 0o666))
	var reports []string
	var e events
	d := m.Download(url, "name", WithHooks(e.hooks()), WithProgress(func(_ *Download, current, total int64) {
		reports = append(reports, fmt.Sprint(current, total))
	}))
	select {
	case <-d.Done():
	default:
		t.Fatal("what is there is done at once")
	}
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginCached, d.Result().Origin)
	assert.EqualValues(t, 5, d.Result().Bytes)
	assert.Equal(t, []string{"5 5"}, reports)
	assert.Equal(t, []string{"started name", "finished name"}, e.all())
	assert.Zero(t, o.Count("/file"))
	requireContent(t, "there", d.Dest())
}

func TestOneRequestForAHundredCallers(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("hello"))
	for round := range 20 {
		m := newManager(t)
		var wg sync.WaitGroup
		start := make(chan struct{})
		for range 100 {
			wg.Go(func() {
				<-start
				d := m.Download(url, "name")
				assert.NoError(t, d.Wait())
				assert.FileExists(t, d.Dest())
			})
		}
		close(start)
		wg.Wait()
		require.Equal(t, round+1, o.Count("/file"))
	}
}

func TestTheSameDestinationIsJoinedAlsoWithAnotherURL(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	o.Serve("/file", []byte("hello"), testorigin.Gate(gate))
	m := newManager(t)
	first := m.Download(o.URL("/file?signature=1"), "name")
	var reports atomic.Int64
	second := m.Download(o.URL("/file?signature=2"), "name", WithProgress(func(*Download, int64, int64) { reports.Add(1) }))
	assert.Same(t, first, second)
	close(gate)
	require.NoError(t, second.Wait())
	assert.Equal(t, 1, o.Count("/file"))
	assert.Positive(t, reports.Load(), "who joins is told of the progress")
}

func TestCancelHitsRunningMatchesOnlyAndDoesNotWait(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	a := m.Download(o.Serve("/a", nil, testorigin.Silent()), "a")
	b := m.Download(o.Serve("/b", nil, testorigin.Silent()), "b")
	<-o.Arrived("/a", 1)
	<-o.Arrived("/b", 1)
	m.Cancel(func(d *Download) bool { return d == a })
	require.ErrorIs(t, a.Wait(), ErrCanceled)
	assert.True(t, b.IsRunning())
	assert.False(t, b.IsCanceled())
	m.Interrupt(nil)
	require.ErrorIs(t, b.Wait(), ErrInterrupted)
	require.NoError(t, m.Wait(), "who is stopped has not failed")
}

func TestWaitReturnsWhatFailedSinceItWasLastCalled(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	missing := o.Serve("/missing", nil, testorigin.Status(404, ""))
	for i := range 40 {
		m.Download(missing, fmt.Sprint("missing", i))
	}
	m.Download(o.Serve("/good", []byte("x")), "good")
	err := m.Wait()
	require.ErrorIs(t, err, ErrNotFound)
	failed, ok := errors.AsType[*WaitError](err)
	require.True(t, ok)
	assert.Equal(t, 40, failed.Count)
	assert.Len(t, failed.Errs, maxFailures)
	assert.Contains(t, err.Error(), "and 24 more")
	require.NoError(t, m.Wait(), "it is told once")
}

func TestWaitCoversWhatIsStartedMeanwhile(t *testing.T) {
	o := testorigin.New(t)
	var m *DownloadManager
	m = newManager(t, WithHooks(Hooks{Finished: func(d *Download) {
		if filepath.Base(d.Dest()) == "first" {
			m.Download(o.Serve("/second", []byte("2")), "second")
		}
	}}))
	m.Download(o.Serve("/first", []byte("1")), "first")
	require.NoError(t, m.Wait())
	dest, err := m.Dest("second")
	require.NoError(t, err)
	requireContent(t, "2", dest)
}

func TestManagerWaitContext(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	m.Download(o.Serve("/silent", nil, testorigin.Silent()), "silent")
	failed := m.Download(o.Serve("/missing", nil, testorigin.Status(404, "")), "missing")
	require.Error(t, failed.Wait())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, m.WaitContext(ctx), context.Canceled)
	m.Cancel(nil)
	require.ErrorIs(t, m.Wait(), ErrNotFound, "what failed is kept for the next Wait")
}

func TestAClientThatFocusesOneDownload(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	var finished events
	m := newManager(t, WithHooks(Hooks{Finished: func(d *Download) {
		finished.add(fmt.Sprint(filepath.Base(d.Dest()), " ", d.Err()))
	}}))
	for _, build := range []string{"early", "late"} {
		m.Download(o.ServeSize("/"+build, 1000, testorigin.GateAfter(10, gate)), build)
	}
	<-o.Arrived("/early", 1)
	<-o.Arrived("/late", 1)

	focus := m.Download(o.URL("/late"), "late")
	var last atomic.Int64
	focus.SetProgress(func(_ *Download, current, _ int64) { last.Store(current) })
	m.Cancel(func(d *Download) bool { return d != focus })
	close(gate)
	require.NoError(t, focus.Wait())
	require.NoError(t, m.Wait())
	assert.EqualValues(t, 1000, last.Load())
	assert.FileExists(t, focus.Dest())
	require.NoError(t, m.Download(o.URL("/late"), "late").Wait())
	assert.ElementsMatch(t, []string{"early download cancelled", "late <nil>", "late <nil>"}, finished.all())
}

func TestForceFetchesWhatIsThere(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", nil, testorigin.Sequence(testorigin.Body([]byte("old")), testorigin.Body([]byte("newer")), testorigin.Status(500, "")))
	m := newManager(t, WithSizeLimit(1000))
	require.NoError(t, m.Download(url, "name").Wait())
	d := m.Download(url, "name", WithForce())
	require.NoError(t, d.Wait())
	requireContent(t, "newer", d.Dest())
	require.Error(t, m.Download(url, "name", WithForce()).Wait())
	requireContent(t, "newer", d.Dest())
	assert.EqualValues(t, 5, m.limit.Usage().Bytes)
}

func TestAHitMakesTheFileExecutableIfAsked(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/tool", []byte("#!/bin/sh\n"))
	m := newManager(t)
	d := m.Download(url, "tool")
	require.NoError(t, d.Wait())
	require.NoError(t, m.Download(url, "tool", WithMode(0o777)).Wait())
	fi, err := os.Stat(d.Dest())
	require.NoError(t, err)
	assert.NotZero(t, fi.Mode()&0o100)
}

func TestAHitRenewsTheLastUse(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	d := m.Download(o.Serve("/file", []byte("x")), "name")
	require.NoError(t, d.Wait())
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(d.Dest(), old, old))
	require.NoError(t, m.Download(d.URL(), "name").Wait())
	info, err := m.dir.Stat("name")
	require.NoError(t, err)
	assert.Greater(t, info.LastUse.Sub(old), 30*time.Minute)
	assert.WithinDuration(t, old, info.ModTime, time.Second)
}

func TestAFileThatSomebodyRemovedIsAMiss(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	d := m.Download(o.Serve("/file", []byte("x")), "name")
	require.NoError(t, d.Wait())
	require.NoError(t, os.Remove(d.Dest()))
	require.NoError(t, m.Download(d.URL(), "name").Wait())
	assert.Equal(t, 2, o.Count("/file"))
}

func TestCloseInterruptsAndRefuses(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	d := m.Download(o.Serve("/silent", nil, testorigin.Silent()), "silent")
	<-o.Arrived("/silent", 1)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { assert.NoError(t, m.Close()) })
	}
	wg.Wait()
	require.ErrorIs(t, d.Wait(), ErrInterrupted)
	late := m.Download(o.URL("/silent"), "late")
	require.NotNil(t, late)
	require.ErrorIs(t, late.Wait(), ErrClosed)
}

func TestShutdownDrainsAndThenInterrupts(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	m := newManager(t)
	d := m.Download(o.Serve("/file", []byte("x"), testorigin.Gate(gate)), "file")
	<-o.Arrived("/file", 1)
	go close(gate)
	require.NoError(t, m.Shutdown(t.Context()))
	require.NoError(t, d.Wait())

	m = newManager(t)
	d = m.Download(o.Serve("/silent", nil, testorigin.Silent()), "silent")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, m.Shutdown(ctx), context.Canceled)
	require.ErrorIs(t, d.Wait(), ErrInterrupted)
	require.ErrorIs(t, m.Download(o.URL("/silent"), "x").Wait(), ErrClosed)
}

func TestManyCallersManyEndsAtOnce(t *testing.T) {
	o := testorigin.New(t)
	for i := range 10 {
		o.ServeSize(fmt.Sprint("/file", i), 5000)
	}
	m := newManager(t, WithSizeLimit(20_000), WithFileLimit(2))
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			name := fmt.Sprint("file", i%10)
			d := m.Download(o.URL("/"+name), name)
			d.OnProgress(func(*Download, int64, int64) {})
			if i%7 == 0 {
				d.Cancel()
			}
			if err := d.Wait(); err != nil {
				assert.ErrorIs(t, err, ErrCanceled)
			}
			m.Downloads()
			d.Progress()
			d.Result()
		})
	}
	wg.Wait()
	require.NoError(t, m.Wait())
	u := m.limit.Usage()
	assert.LessOrEqual(t, u.Bytes, u.Limit)
	assert.Zero(t, u.Reserved)
}

func TestOverHTTPS(t *testing.T) {
	o := testorigin.NewTLS(t)
	url := o.Serve("/file", []byte("hello"))
	err := newManager(t).Download(url, "name").Wait()
	require.Error(t, err)
	assert.False(t, IsTemporary(err), "a certificate that is not trusted stays so")

	transport := NewTransport()
	transport.TLSClientConfig.RootCAs = o.RootCAs()
	defer transport.CloseIdleConnections()
	d := newManager(t, WithTransport(transport)).Download(url, "name")
	require.NoError(t, d.Wait())
	requireContent(t, "hello", d.Dest())
}
