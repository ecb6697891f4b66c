package dlmanager

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// helperEnv makes the test's binary a second process: it downloads, as its
// arguments say, and prints how that went.
const helperEnv = "DLMANAGER_TEST_HELPER"

// helper is the second process: DIR URL NAME, and with one more argument the file
// is executed; or DIR URL/ COUNT for the files 0, 1, … below the URL; or what
// leaseHelpers do.
func helper(args []string) int {
	if args[0] == "crowd" {
		return crowd(args[1:])
	}
	if do := leaseHelpers[args[0]]; do != nil {
		if err := do(args[1:]); err != nil {
			fmt.Println("error", err)
			return 1
		}
		fmt.Println("done", args[0])
		return 0
	}
	if strings.HasSuffix(args[1], "/") {
		return fetchMany(args[0], args[1], args[2])
	}
	mode := os.FileMode(0o666)
	if len(args) > 3 {
		mode = 0o777
	}
	m, err := NewDownloadManager(args[0], WithMode(mode), WithStallTimeout(helperStall), WithConnections(1))
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	defer m.Close()
	d := m.Download(args[1], args[2], WithProgress(func(_ *Download, current, total int64) {
		fmt.Println("progress", current, total)
	}))
	if err := d.Wait(); err != nil {
		fmt.Println("error", err)
		return 1
	}
	if len(args) > 3 {
		out, err := exec.Command(d.Dest()).CombinedOutput()
		if err != nil {
			fmt.Println("error", err, string(out))
			return 1
		}
	}
	fmt.Println("done", d.Result().Origin)
	return 0
}

func fetchMany(dir, base, count string) int {
	m, err := NewDownloadManager(dir)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	n, _ := strconv.Atoi(count)
	for i := range n {
		m.Download(base+strconv.Itoa(i), strconv.Itoa(i))
	}
	if err := errors.Join(m.Wait(), m.Close()); err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("done all")
	return 0
}

// helperStall is longer than a machine pauses: a process that is to be stopped or
// killed does not give up before.
const helperStall = time.Minute

// process is a running second process.
type process struct {
	*exec.Cmd
	out *bufio.Reader
}

func startProcess(t testing.TB, args ...string) *process {
	t.Helper()
	p := prepareProcess(t, args...)
	p.start(t)
	return p
}

func prepareProcess(t testing.TB, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, os.Args[0], args...)}
	// The race detector, where it is built in, would hold each up for a second at its end.
	p.Env = append(os.Environ(), helperEnv+"=1", "GORACE=atexit_sleep_ms=0")
	return p
}

func (p *process) start(t testing.TB) {
	t.Helper()
	pipe, err := p.StdoutPipe()
	require.NoError(t, err)
	p.out = bufio.NewReader(pipe)
	require.NoError(t, p.Start())
}

// next returns the next line of a kind, "" at the end of the output.
func (p *process) next(kind string) string {
	for {
		line, err := p.out.ReadString('\n')
		if err != nil {
			return ""
		}
		if strings.HasPrefix(line, kind) {
			return strings.TrimSpace(strings.TrimPrefix(line, kind))
		}
		if strings.HasPrefix(line, "error") {
			return strings.TrimSpace(line)
		}
	}
}

// end returns the origin of the file, or what went wrong.
func (p *process) end() string {
	origin := p.next("done")
	_, _ = io.Copy(io.Discard, p.out)
	_ = p.Wait()
	return origin
}

// meteredOrigin serves content by ranges and counts what it sends. gate, if any,
// is waited for after the first half of each body.
type meteredOrigin struct {
	*httptest.Server
	sent     atomic.Int64
	requests atomic.Int32
}

func newMeteredOrigin(t testing.TB, size int64, gate <-chan struct{}) *meteredOrigin {
	o := &meteredOrigin{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.requests.Add(1)
		w.Header().Set("ETag", `"v1"`)
		body := &halting{ReadSeeker: strings.NewReader(contentOf(size)), gate: gate, gone: r.Context().Done(), half: size / 2}
		http.ServeContent(&countingWriter{w, &o.sent}, r, "", time.Time{}, body)
	}))
	t.Cleanup(o.Close)
	return o
}

func contentOf(size int64) string {
	var b strings.Builder
	_, _ = io.Copy(&b, testorigin.Content(size))
	return b.String()
}

type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (w *countingWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.n.Add(int64(n))
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	return n, err
}

// halting is a body whose second half comes when the gate opens.
type halting struct {
	io.ReadSeeker
	gate, gone <-chan struct{}
	half, at   int64
}

func (h *halting) Seek(off int64, whence int) (int64, error) {
	at, err := h.ReadSeeker.Seek(off, whence)
	h.at = at
	return at, err
}

func (h *halting) Read(b []byte) (int, error) {
	if h.gate != nil && h.at >= h.half {
		select {
		case <-h.gate:
		case <-h.gone:
			return 0, io.ErrUnexpectedEOF
		}
	} else if h.gate != nil && h.at+int64(len(b)) > h.half {
		b = b[:h.half-h.at]
	}
	n, err := h.ReadSeeker.Read(b)
	h.at += int64(n)
	return n, err
}

func TestTwentyProcessesMakeOneRequest(t *testing.T) {
	gate := make(chan struct{})
	o := newMeteredOrigin(t, 4*mib, gate)
	dir := filepath.Join(t.TempDir(), "cache")
	origins := map[string]int{}
	var all []*process
	for range 20 {
		all = append(all, startProcess(t, dir, o.URL+"/file", "file"))
	}
	require.Eventually(t, func() bool { return o.requests.Load() > 0 }, time.Minute, time.Millisecond)
	close(gate)
	for _, p := range all {
		origins[p.end()]++
	}
	assert.EqualValues(t, 1, o.requests.Load())
	assert.Equal(t, 1, origins["fetched"])
	assert.Equal(t, 19, origins["joined"]+origins["cached"], "%v", origins)
	requireSame(t, 4*mib, filepath.Join(dir, "file"))
	requireNothingUnfinished(t, dir)
}

func TestWhenTheHolderIsKilledAnotherGoesOn(t *testing.T) {
	gate := make(chan struct{})
	const size = 16 * mib
	o := newMeteredOrigin(t, size, gate)
	dir := filepath.Join(t.TempDir(), "cache")
	holder := startProcess(t, dir, o.URL+"/file", "file")
	for line := holder.next("progress"); line != fmt.Sprint(size/2, " ", size); line = holder.next("progress") {
		require.NotEmpty(t, line)
		require.NotContains(t, line, "error")
	}
	m := managerAt(t, dir)
	d := m.Download(o.URL+"/file", "file")
	require.Eventually(t, func() bool {
		p := d.Progress()
		return p.State == StateAwaiting && p.AwaitedFrom == fmt.Sprint("process ", holder.Process.Pid) && p.Total == size
	}, time.Minute, time.Millisecond, "it says who it waits for")
	require.Eventually(t, func() bool { // what is stored is noted a little later
		note, _ := filepath.Glob(filepath.Join(dir, ".dlm", "partial", "*.json"))
		if len(note) != 1 {
			return false
		}
		text, _ := os.ReadFile(note[0])
		r, ok := parseRecord(text) // it may be torn at this moment
		k, _ := r.keptOf(size, r.Boot)
		return ok && k.result.N == size/2
	}, time.Minute, time.Millisecond)
	require.NoError(t, holder.Process.Kill())
	_ = holder.Wait()
	close(gate)
	require.NoError(t, d.Wait())
	requireSame(t, size, d.Dest())
	assert.Equal(t, OriginResumed, d.Result().Origin)
	assert.EqualValues(t, 2, o.requests.Load())
	assert.Less(t, o.sent.Load(), int64(size)*13/10, "what was received is not fetched again")
	requireNothingUnfinished(t, dir)
}

func TestWaitingForAnotherProcessEndsWithTheContext(t *testing.T) {
	o := newMeteredOrigin(t, 2*mib, make(chan struct{}))
	dir := filepath.Join(t.TempDir(), "cache")
	holder := startProcess(t, dir, o.URL+"/file", "file")
	require.NotEmpty(t, holder.next("progress"))
	m, err := NewDownloadManager(dir)
	require.NoError(t, err)
	d := m.Download(o.URL+"/file", "file")
	require.Eventually(t, func() bool { return d.Progress().State == StateAwaiting }, time.Minute, time.Millisecond)
	d.Cancel()
	require.ErrorIs(t, d.Wait(), ErrCanceled)
	require.NoError(t, m.Close())
	parts, _ := partials(t, dir)
	assert.Len(t, parts, 1, "who only waits removes nothing")
	require.NoError(t, holder.Process.Kill())
	_ = holder.Wait()
}

func TestAProgramThatHasJustLandedIsExecutedByAll(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // a script is no program there, and there is no ETXTBSY
	}
	// A real program: the kernel protects a script less well.
	program, err := os.ReadFile("/bin/true")
	require.NoError(t, err)
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(program) }))
	t.Cleanup(o.Close)
	dir := filepath.Join(t.TempDir(), "cache")
	var all []*process
	for i := range 20 {
		args := []string{dir, o.URL + "/true", "true"}
		if i%5 > 0 { // to the others it is no program
			args = append(args, "run")
		}
		all = append(all, startProcess(t, args...))
	}
	for _, p := range all {
		assert.NotContains(t, p.end(), "error")
	}
}

func TestAProgramIsExecutedWhileOthersFork(t *testing.T) {
	if runtime.GOOS == "windows" {
		return
	}
	program, err := os.ReadFile("/bin/true")
	require.NoError(t, err)
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(program) }))
	t.Cleanup(o.Close)
	m := newManager(t, WithMode(0o777), WithSync(SyncNone))
	stop := make(chan struct{})
	var forks sync.WaitGroup
	for range 2 {
		forks.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command("/bin/true").Run()
				}
			}
		})
	}
	for i := range 50 {
		d := m.Download(o.URL+"/true", fmt.Sprint("true", i))
		require.NoError(t, d.Wait())
		out, err := exec.Command(d.Dest()).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	close(stop)
	forks.Wait()
}

func TestWhoWaitedForOtherContentFetchesItHimself(t *testing.T) {
	gate := make(chan struct{})
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"), testorigin.GateAfter(3, gate))
	dir := filepath.Join(t.TempDir(), "cache")
	first, second := managerAt(t, dir), managerAt(t, dir)
	d := first.Download(url, "file")
	<-o.Arrived("/file", 1)
	waiting := second.Download(url, "file", WithChecksum(sha256Of("other")))
	require.Eventually(t, func() bool { return waiting.Progress().State == StateAwaiting }, time.Minute, time.Millisecond)
	close(gate)
	require.NoError(t, d.Wait())
	require.ErrorIs(t, waiting.Wait(), ErrChecksum)
	assert.Equal(t, 2, o.Count("/file"))
}

func TestStandAloneDownloadsShareOnlyWhatIsOfOneURL(t *testing.T) {
	for name, same := range map[string]bool{"one URL": true, "two URLs": false} {
		t.Run(name, func(t *testing.T) {
			gate := make(chan struct{})
			o := testorigin.New(t)
			a := o.ServeSize("/a", 2*mib, tagged, testorigin.GateAfter(mib, gate))
			b := o.Serve("/b", []byte("b"))
			dest := filepath.Join(t.TempDir(), "dest")
			first := NewDownload(a, dest)
			half := make(chan struct{})
			var once sync.Once
			first.SetProgress(func(*Download, int64, int64) { once.Do(func() { close(half) }) })
			first.Start()
			<-half
			url := b
			if same {
				url = a
			}
			second := NewDownload(url, dest)
			second.Start()
			require.Eventually(t, func() bool { return second.Progress().AwaitedFrom != "" }, time.Minute, time.Millisecond)
			close(gate)
			require.NoError(t, first.Wait())
			require.NoError(t, second.Wait())
			if same {
				assert.Equal(t, OriginJoined, second.Result().Origin)
				assert.Equal(t, 1, o.Count("/a"))
				return
			}
			requireContent(t, "b", dest)
		})
	}
}
