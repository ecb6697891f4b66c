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

	"github.com/spf13/afero"
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

// Behaviour 2.
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

// Behaviour 4.
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
	url := o.Serve("/file", []byte("hello"), testorigin.Sequence(testorigin.SilentAfter(2), testorigin.OK()))
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
	hold.Done()
	require.NoError(t, second.Wait())
	require.ErrorIs(t, d.Wait(), ErrCanceled)
	requireContent(t, "hello", second.Dest())
}

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
		d := m.Download(o.Serve(path, []byte("x")), path[1:], WithHooks(Hooks{
			Finished: func(d *Download) { order.add(filepath.Base(d.Dest())) },
		}))
		if i%5 == 4 {
			d.Cancel() // who gives up in the queue does not take a place with it
			require.ErrorIs(t, d.Wait(), ErrCanceled)
			continue
		}
		want = append(want, path[1:])
	}
	canceled := order.all()
	first.Cancel()
	require.NoError(t, m.Wait())
	assert.Equal(t, want, order.all()[len(canceled):])
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

// Behaviour 10.
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

func TestWhatIsThereCountsAgainstTheLimit(t *testing.T) {
	o := testorigin.New(t)
	dir := t.TempDir()
	first := managerAt(t, dir)
	for i := range 5 {
		path := fmt.Sprint("/old", i)
		require.NoError(t, first.Download(o.ServeSize(path, 100), path[1:]).Wait())
		old := time.Now().Add(-time.Duration(10-i) * time.Hour)
		require.NoError(t, os.Chtimes(filepath.Join(dir, path[1:]), old, old))
	}
	require.NoError(t, first.Close())

	var evicted events
	m := managerAt(t, dir, WithSizeLimit(300), WithFileLimit(1), WithHooks(Hooks{
		Evicted: func(r Removed) { evicted.add(filepath.Base(r.Path)) },
	}))
	require.NoError(t, m.Download(o.ServeSize("/new", 100), "new").Wait())
	require.NoError(t, m.Close())
	assert.Equal(t, []string{"old0", "old1", "old2"}, evicted.all())
	assert.FileExists(t, filepath.Join(dir, "old3"))
	assert.FileExists(t, filepath.Join(dir, "new"))
}

func TestSomebodysFilesAreNotEvictedBySurprise(t *testing.T) {
	dir := t.TempDir()
	thesis := filepath.Join(dir, "thesis.tex")
	require.NoError(t, os.WriteFile(thesis, make([]byte, 1000), 0o666))
	for _, opts := range [][]Option{
		{WithSizeLimit(10)},
		{WithInitialSizeLimit(10)},
		{WithPersistLimit(NewPersistLimit(10, 1))},
	} {
		_, err := NewDownloadManager(dir, opts...)
		require.ErrorIs(t, err, ErrNotCacheDir)
	}
	require.NoError(t, managerAt(t, dir).Close())
	require.NoError(t, managerAt(t, dir, WithSizeLimit(0)).Close())
	assert.FileExists(t, thesis)
	require.NoError(t, managerAt(t, dir, WithSizeLimit(10000), WithAdopt()).Close())
	assert.FileExists(t, thesis)
	_, err := NewDownloadManager("")
	require.Error(t, err)
}

func TestTheDirectorysOwnLimit(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	require.NoError(t, managerAt(t, dir, WithInitialSizeLimit(250)).Close())

	fill := func(m *DownloadManager, from int) {
		for i := range 4 {
			path := fmt.Sprint("/file", from+i)
			require.NoError(t, m.Download(o.ServeSize(path, 100), path[1:]).Wait())
		}
		require.NoError(t, m.Close())
	}
	count := func() int {
		names, err := filepath.Glob(filepath.Join(dir, "file*"))
		require.NoError(t, err)
		return len(names)
	}
	fill(managerAt(t, dir, WithFileLimit(1)), 0)
	assert.Equal(t, 2, count(), "the limit holds for who says nothing")
	fill(managerAt(t, dir, WithFileLimit(1), WithSizeLimit(0)), 10)
	assert.Equal(t, 6, count(), "an option outranks it")
	fill(managerAt(t, dir, WithFileLimit(1), WithInitialSizeLimit(1_000_000)), 20)
	assert.Equal(t, 2, count(), "it is set once")
}

// Behaviour 11.
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

// Behaviour 12.
func TestNamesAreDerivedFromTheURL(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	o.Serve("/dir/a file.txt", []byte("1"))
	d := m.Download(o.URL("/dir/a%20file.txt?x=1#frag"), "")
	require.NoError(t, d.Wait())
	assert.Equal(t, "a file.txt", filepath.Base(d.Dest()))

	for _, url := range []string{o.URL("/"), o.URL(""), o.URL("/a/.."), o.URL("/a/%2e%2e"), o.URL("/a/b/")} {
		require.ErrorIs(t, m.Download(url, "").Wait(), ErrInvalidName, url)
	}
	for _, name := range []string{"..", "../x", "/etc/passwd", ".dlm/x", ".DLM/x", "a/../../b", `a\b`, "C:x", "CON", "a\x00b", "x.", "CACHEDIR.TAG"} {
		require.ErrorIs(t, m.Download(o.URL("/file"), name).Wait(), ErrInvalidName, name)
		_, err := m.Dest(name)
		require.ErrorIs(t, err, ErrInvalidName, name)
	}
	require.Error(t, m.Wait(), "they are failures")
}

func TestADerivedNameNeverTakesAnotherURLsFile(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/v1/sums.txt", []byte("one"))
	o.Serve("/v2/sums.txt", []byte("two"))
	o.Serve("/file", []byte("x"))
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir)
	require.NoError(t, m.Download(o.URL("/v1/sums.txt"), "").Wait())
	hit := m.Download(o.URL("/v1/sums.txt"), "")
	require.NoError(t, hit.Wait())
	assert.Equal(t, OriginCached, hit.Result().Origin)
	require.ErrorIs(t, m.Download(o.URL("/v2/sums.txt"), "").Wait(), ErrNameTaken)
	require.NoError(t, m.Download(o.URL("/file?id=1"), "").Wait())
	require.ErrorIs(t, m.Download(o.URL("/file?id=2"), "").Wait(), ErrNameTaken)
	named := m.Download(o.URL("/v2/sums.txt"), "sums.txt")
	require.NoError(t, named.Wait(), "a name that is given is the identity")
	assert.Equal(t, OriginCached, named.Result().Origin)
	requireContent(t, "one", named.Dest())
	require.Error(t, m.Wait())
	require.NoError(t, m.Close())

	again := managerAt(t, dir) // another process
	require.ErrorIs(t, again.Download(o.URL("/v2/sums.txt"), "").Wait(), ErrNameTaken)
	require.NoError(t, again.Download(o.URL("/v1/sums.txt"), "").Wait())
	assert.Equal(t, 1, o.Count("/v1/sums.txt"))

	require.NoError(t, os.Remove(filepath.Join(dir, ".dlm", "entries"))) // nothing is known of the file
	third := managerAt(t, dir)
	d := third.Download(o.URL("/v2/sums.txt"), "")
	require.NoError(t, d.Wait(), "then it is fetched, never taken for another's")
	requireContent(t, "two", d.Dest())
}

func TestADerivedNameInFlightIsNotJoinedByAnotherURL(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	o.Serve("/v1/sums.txt", []byte("one"), testorigin.Gate(gate))
	m := newManager(t)
	first := m.Download(o.URL("/v1/sums.txt"), "")
	assert.Same(t, first, m.Download(o.URL("/v1/sums.txt#part"), ""))
	require.ErrorIs(t, m.Download(o.URL("/v2/sums.txt"), "").Wait(), ErrNameTaken)
	assert.Same(t, first, m.Download(o.URL("/v2/sums.txt"), "sums.txt"))
	close(gate)
	require.NoError(t, first.Wait())
}

func TestADerivedNameLeavesSomebodysFileAlone(t *testing.T) {
	o := testorigin.New(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "thesis.tex"), []byte("mine"), 0o666))
	m := managerAt(t, dir)
	require.ErrorIs(t, m.Download(o.Serve("/thesis.tex", []byte("x")), "").Wait(), ErrNameTaken)
	requireContent(t, "mine", filepath.Join(dir, "thesis.tex"))
}

func TestTwinsAreRefused(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	m := newManager(t)
	d := m.Download(o.Serve("/file", []byte("x"), testorigin.Gate(gate)), "Tool")
	require.ErrorIs(t, m.Download(o.URL("/file"), "tool").Wait(), ErrNameTaken, "in flight")
	close(gate)
	require.NoError(t, d.Wait())
	require.ErrorIs(t, m.Download(o.URL("/file"), "tOOl").Wait(), ErrNameTaken, "on disk")
	require.NoError(t, m.Download(o.URL("/file"), "caf\u00e9").Wait())
	require.ErrorIs(t, m.Download(o.URL("/file"), "cafe\u0301").Wait(), ErrNameTaken, "Unicode form")
	assert.Equal(t, 2, o.Count("/file"))
}

func TestAFileWhereAFolderIsNeeded(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	url := o.Serve("/file", []byte("x"))
	require.NoError(t, m.Download(url, "a").Wait())
	require.Error(t, m.Download(url, "a/b").Wait())
	require.NoError(t, m.Download(url, "c/d").Wait())
	require.Error(t, m.Download(url, "c").Wait())
	assert.Equal(t, 2, o.Count("/file"), "nothing is fetched for nothing")
}

// Behaviour 13.
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

// Behaviour 16.
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

func TestDownloadsInMemory(t *testing.T) {
	o := testorigin.New(t)
	base := afero.NewMemMapFs()
	m := managerAt(t, "/cache", WithFs(base), WithSizeLimit(250), WithFileLimit(1))
	for i := range 4 {
		path := fmt.Sprint("/file", i)
		require.NoError(t, m.Download(o.ServeSize(path, 100), path[1:]).Wait())
	}
	d := m.Download(o.URL("/file3"), "file3")
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginCached, d.Result().Origin)
	exists, err := afero.Exists(base, "/cache/file3")
	require.NoError(t, err)
	assert.True(t, exists)
	exists, err = afero.Exists(base, "/cache/file0")
	require.NoError(t, err)
	assert.False(t, exists, "evicted in memory, too")
	require.Error(t, m.Download(o.URL("/x"), "x", WithFs(afero.NewMemMapFs())).Wait())
	require.Error(t, m.Wait())
}

func TestRoomIsMadeBeforeBytesAreWritten(t *testing.T) {
	o := testorigin.New(t)
	for name, opts := range map[string][]testorigin.Option{"length": nil, "no length": {testorigin.NoLength()}} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, WithSizeLimit(10_000), WithFileLimit(1))
			for i := range 10 {
				path := fmt.Sprint("/old", i)
				require.NoError(t, m.Download(o.ServeSize(path, 1000), path[1:]).Wait())
			}
			assert.EqualValues(t, 10_000, m.limit.Usage().Bytes)
			gate := make(chan struct{})
			d := m.Download(o.ServeSize("/new", 5000, append(opts, testorigin.GateAfter(10, gate))...), "new")
			arrived := make(chan struct{})
			var once sync.Once
			d.SetProgress(func(_ *Download, current, _ int64) {
				if current > 0 {
					once.Do(func() { close(arrived) })
				}
			})
			<-arrived
			u := m.limit.Usage()
			assert.LessOrEqual(t, u.Bytes+u.Reserved, u.Limit)
			assert.GreaterOrEqual(t, u.Reserved, int64(10))
			close(gate)
			require.NoError(t, d.Wait())
			u = m.limit.Usage()
			assert.Zero(t, u.Reserved)
			assert.LessOrEqual(t, u.Bytes, u.Limit)
		})
	}
}

func TestAFileLargerThanTheLimitIsReportedAndEmptiesNothing(t *testing.T) {
	o := testorigin.New(t)
	var exceeded atomic.Int64
	m := newManager(t, WithSizeLimit(1000), WithFileLimit(1), WithHooks(Hooks{
		LimitExceeded: func(u LimitUsage) { exceeded.Store(u.Over) },
	}))
	for i := range 5 {
		path := fmt.Sprint("/small", i)
		require.NoError(t, m.Download(o.ServeSize(path, 100), path[1:]).Wait())
	}
	require.NoError(t, m.Download(o.ServeSize("/large", 5000), "large").Wait())
	assert.Positive(t, exceeded.Load())
	for i := range 5 {
		dest, err := m.Dest(fmt.Sprint("small", i))
		require.NoError(t, err)
		assert.FileExists(t, dest)
	}
}

func TestReservationsAreGivenBack(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithSizeLimit(10_000))
	require.Error(t, m.Download(o.ServeSize("/cut", 5000, testorigin.CutAfter(100)), "cut").Wait())
	d := m.Download(o.ServeSize("/silent", 5000, testorigin.SilentAfter(100)), "silent")
	<-o.Arrived("/silent", 1)
	d.Cancel()
	require.Error(t, d.Wait())
	u := m.limit.Usage()
	assert.Zero(t, u.Reserved)
	assert.Zero(t, u.Bytes)
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
