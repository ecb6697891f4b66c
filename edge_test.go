package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/faultfs"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// onLog calls fn for each message that begins with a text.
type onLog struct {
	slog.Handler
	text string
	fn   func()
}

func (o onLog) Handle(_ context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, o.text) {
		o.fn()
	}
	return nil
}

func (o onLog) Enabled(context.Context, slog.Level) bool { return true }

func TestADownloadThatHasEndedIsNotJoined(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("hello"), testorigin.Sequence(testorigin.Silent(), testorigin.OK()))
	var m *DownloadManager
	var second *Download
	var once sync.Once
	m = newManager(t, WithLogger(slog.New(onLog{slog.DiscardHandler, "download stopped", func() {
		once.Do(func() { second = m.Download(url, "name") }) // between its end and its hook
	}})))
	first := m.Download(url, "name")
	<-o.Arrived("/file", 1)
	first.Cancel()
	require.ErrorIs(t, first.Wait(), ErrCanceled)
	require.NoError(t, second.Wait())
}

func TestAFinishedHookMayWaitForTheNextOfItsName(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("hello"), testorigin.Sequence(testorigin.Silent(), testorigin.OK()))
	next := make(chan struct{})
	m := newManager(t)
	first := m.Download(url, "name", WithHooks(Hooks{Finished: func(*Download) {
		<-next
		assert.NoError(t, m.Download(url, "name").Wait())
	}}))
	<-o.Arrived("/file", 1)
	first.Cancel()
	second := m.Download(url, "name")
	close(next)
	require.NoError(t, second.Wait())
	require.ErrorIs(t, first.Wait(), ErrCanceled)
}

func TestThreeOfOneNameComeOneAfterTheOther(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("hello"))
	stuck, release := make(chan struct{}), make(chan struct{})
	m := newManager(t)
	var once sync.Once
	first := m.Download(url, "name", WithProgress(func(*Download, int64, int64) {
		once.Do(func() { close(stuck); <-release })
	}))
	<-stuck
	first.Cancel()
	second := m.Download(url, "name")
	second.Cancel()
	require.ErrorIs(t, second.Wait(), ErrCanceled)
	third := m.Download(url, "name")
	assert.Equal(t, 1, o.Count("/file"), "the first is still at work")
	close(release)
	require.NoError(t, third.Wait())
	require.ErrorIs(t, first.Wait(), ErrCanceled)
}

func TestAManagersCancelReachesWhatWasReplaced(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("hello"))
	stuck, release := make(chan struct{}), make(chan struct{})
	m := newManager(t)
	var once sync.Once
	first := m.Download(url, "name", WithProgress(func(*Download, int64, int64) {
		once.Do(func() { close(stuck); <-release })
	}))
	<-stuck
	first.Interrupt()
	second := m.Download(url, "name")
	m.Cancel(nil)
	close(release)
	require.ErrorIs(t, first.Wait(), ErrCanceled, "Cancel outranks Interrupt")
	require.ErrorIs(t, second.Wait(), ErrCanceled)
}

func TestACallbackThatEndsItsGoroutineFailsTheDownload(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("hello"))
	exit := func(*Download) { runtime.Goexit() }
	for name, opt := range map[string]DownloadOption{
		"progress": WithProgress(func(*Download, int64, int64) { runtime.Goexit() }),
		"started":  WithHooks(Hooks{Started: exit}),
		"finished": WithHooks(Hooks{Finished: exit}),
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, WithMaxConcurrent(1))
			d := m.Download(url, "name", opt)
			<-d.Done()
			if name != "finished" {
				require.ErrorIs(t, d.Err(), errExited)
			}
			require.NoError(t, m.Download(url, "other").Wait(), "its place was given back")
		})
	}
}

func TestAnObserverThatComesAfterTheLastReportIsToldTheEnd(t *testing.T) {
	o := testorigin.New(t)
	var late []int64
	d := NewDownload(o.Serve("/file", []byte("12345")), filepath.Join(t.TempDir(), "file"))
	d.SetProgress(func(d *Download, current, total int64) {
		if current == total {
			d.OnProgress(func(_ *Download, current, total int64) { late = append(late, current, total) })
		}
	})
	require.NoError(t, d.Wait())
	assert.Equal(t, []int64{5, 5}, late)
}

func TestCancelInTheStartedHookOfAHit(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	url := o.Serve("/file", []byte("hello"))
	require.NoError(t, m.Download(url, "name").Wait())
	d := m.Download(url, "name", WithHooks(Hooks{Started: func(d *Download) { d.Cancel() }}))
	require.ErrorIs(t, d.Wait(), ErrCanceled)
}

func TestAFolderThatCannotBeFlushedIsAnErrorAndTheFileCounts(t *testing.T) {
	o := testorigin.New(t)
	base := afero.NewMemMapFs()
	faults := faultfs.New(base)
	m := managerAt(t, "/cache", WithFs(faults), WithSizeLimit(1000), WithSync(SyncDir))
	faults.Fail(faultfs.OpSync, func(name string) bool { return filepath.Base(name) == "cache" }, os.ErrPermission)
	require.ErrorIs(t, m.Download(o.Serve("/file", []byte("hello")), "name").Wait(), os.ErrPermission)
	assert.EqualValues(t, 5, m.limit.Usage().Bytes)
	require.Error(t, m.Wait())
}

func TestAHitSavesAFileFromEviction(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithSizeLimit(300), WithFileLimit(1))
	get := func(name string) {
		require.NoError(t, m.Download(o.ServeSize("/"+name, 100), name).Wait())
	}
	get("a")
	get("b")
	get("c")
	get("a") // within seconds: its access time need not change
	get("d")
	assert.FileExists(t, m.dir.Path("a"))
	assert.NoFileExists(t, m.dir.Path("b"))
}

func TestAFileThatAnotherManagerFetchedCounts(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir, WithSizeLimit(1000))
	require.NoError(t, m.Download(o.ServeSize("/a", 100), "a").Wait())
	require.NoError(t, managerAt(t, dir).Download(o.ServeSize("/b", 100), "b").Wait())
	require.NoError(t, m.Download(o.URL("/b"), "b").Wait())
	assert.EqualValues(t, 200, m.limit.Usage().Bytes, "at once")
	require.NoError(t, os.Remove(filepath.Join(dir, "a")))
	require.Error(t, m.Download(o.Serve("/gone", nil, testorigin.Status(404, "")), "a").Wait())
	require.NoError(t, m.house.load(t.Context()))
	assert.EqualValues(t, 100, m.limit.Usage().Bytes, "and what is missed does not, once the files are counted again")
	require.Error(t, m.Wait())
}

func TestADerivedNameIsNotTakenByAnotherManagersFile(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/v1/sums", []byte("one"))
	o.Serve("/v2/sums", []byte("two"))
	dir := filepath.Join(t.TempDir(), "cache")
	first, second := managerAt(t, dir), managerAt(t, dir)
	require.NoError(t, first.Download(o.URL("/v1/sums"), "").Wait())
	require.NoError(t, first.Download(o.URL("/v1/sums"), "").Wait())
	require.NoError(t, os.Remove(filepath.Join(dir, "sums")))
	require.NoError(t, second.Download(o.URL("/v2/sums"), "").Wait()) // as large, and as old
	require.ErrorIs(t, first.Download(o.URL("/v1/sums"), "").Wait(), ErrNameTaken)
	require.Error(t, first.Wait())
}

func TestAnOverlongValidatorCostsNoEntry(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	url := o.Serve("/file", []byte("x"), testorigin.ETag(`"`+strings.Repeat("x", 70_000)+`"`))
	require.NoError(t, m.Download(url, "").Wait())
	require.NoError(t, m.Download(url, "").Wait())
	assert.Equal(t, 1, o.Count("/file"))
}

func TestDownloadsWhileTheJournalIsWrittenAnew(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("x"))
	dir := filepath.Join(t.TempDir(), "cache")
	d, err := fs.Open(afero.NewOsFs(), dir, fs.Options{})
	require.NoError(t, err)
	for k := range 3 {
		for i := range 5000 {
			require.NoError(t, d.Record(fs.Entry{Name: fmt.Sprint("old", i), Size: int64(k), ModTime: time.Now()}))
		}
	}
	require.NoError(t, d.Close())
	m := managerAt(t, dir, WithSync(SyncNone), WithMaxConcurrent(16))
	const n = 200
	for i := range n {
		m.Download(url, fmt.Sprint("n", i))
	}
	require.NoError(t, m.Wait())
	require.NoError(t, m.Close())
	d, err = fs.Open(afero.NewOsFs(), dir, fs.Options{})
	require.NoError(t, err)
	defer d.Close()
	for i := range n {
		info, err := d.Stat(fmt.Sprint("n", i))
		require.NoError(t, err)
		_, ok := d.Entry(fmt.Sprint("n", i), info)
		assert.True(t, ok, "n%d was forgotten", i)
	}
}

func TestEvictionAtStartAndAtClose(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	first := managerAt(t, dir)
	for _, name := range []string{"a", "b", "c"} {
		require.NoError(t, first.Download(o.ServeSize("/"+name, 100), name).Wait())
	}
	require.NoError(t, first.Close())
	stray := filepath.Join(dir, ".dlm", "partial", "stray.part")
	require.NoError(t, os.WriteFile(stray, []byte("x"), 0o666))

	evicted := make(chan string, 3)
	second := managerAt(t, dir, WithSizeLimit(200), WithFileLimit(1), WithHooks(Hooks{
		Evicted: func(r Removed) { evicted <- filepath.Base(r.Path) },
	}))
	assert.Equal(t, "a", <-evicted, "nothing had to be fetched for it")
	assert.NoFileExists(t, stray)
	require.NoError(t, second.Close())
}

func TestAFileThatIsReplacedIsNotEvictedMeanwhile(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	m := newManager(t, WithSizeLimit(250), WithFileLimit(1))
	require.NoError(t, m.Download(o.ServeSize("/old", 100), "old").Wait())
	again := m.Download(o.ServeSize("/new", 100, testorigin.Gate(gate)), "old", WithForce())
	<-o.Arrived("/new", 1)
	for i := range 3 {
		path := fmt.Sprint("/other", i)
		require.NoError(t, m.Download(o.ServeSize(path, 100), path[1:]).Wait())
	}
	assert.FileExists(t, m.dir.Path("old"))
	close(gate)
	require.NoError(t, again.Wait())
}

func TestOurOwnConnectionsAreNotKept(t *testing.T) {
	var open atomic.Int32
	closed := make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			closed <- struct{}{}
		}
	}
	server.Start()
	defer server.Close()
	m := newManager(t)
	for i := range 3 {
		require.NoError(t, m.Download(fmt.Sprint(server.URL, "/", i), "").Wait())
	}
	assert.EqualValues(t, 1, open.Load())
	require.NoError(t, m.Close())
	<-closed
	require.NoError(t, NewDownload(server.URL+"/file", filepath.Join(t.TempDir(), "file")).Wait())
	<-closed
	assert.EqualValues(t, 2, open.Load())
}

func TestAsManyConnectionsAreKeptAsWereUsedAtOnce(t *testing.T) {
	const n = 40
	var dialed, asked atomic.Int32
	gate := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == n {
			close(gate)
		}
		<-gate
		_, _ = w.Write([]byte("x"))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dialed.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	m := newManager(t, WithMaxConcurrent(n), WithMaxPerHost(n))
	for round := range 3 {
		for i := range n {
			m.Download(fmt.Sprintf("%s/%d.%d", server.URL, round, i), "")
		}
		require.NoError(t, m.Wait())
	}
	assert.EqualValues(t, n, dialed.Load())
}

func TestACallersTransportKeepsItsConnections(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("x"))
	var open atomic.Int32
	transport := NewTransport()
	dial := transport.DialContext
	transport.DialContext = countingDialer(dial, &open)
	m := newManager(t, WithTransport(transport))
	require.NoError(t, m.Download(url, "name").Wait())
	assert.EqualValues(t, 1, open.Load(), "a caller's own connections are kept")
	transport.CloseIdleConnections()
}

func TestADirectoryInMemoryLosesOnlyWhatIsEvicted(t *testing.T) {
	o := testorigin.New(t)
	m := managerAt(t, "/cache", WithFs(afero.NewMemMapFs()), WithSizeLimit(250), WithFileLimit(1))
	for i := range 6 {
		path := fmt.Sprint("/file", i)
		require.NoError(t, m.Download(o.ServeSize(path, 100), "folder"+path).Wait())
	}
	d := m.Download(o.URL("/file4"), "folder/file4")
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginCached, d.Result().Origin)
}

func TestAURLIsCheckedWithoutARequest(t *testing.T) {
	require.NoError(t, CheckURL("https://example.com/x"))
	for _, raw := range []string{"", "x", "ftp://h/x", "https://", "https://user:secret@h:port/"} {
		err := CheckURL(raw)
		_, ok := errors.AsType[*URLError](err)
		require.True(t, ok, raw)
		require.NotContains(t, err.Error(), "secret")
	}
}
