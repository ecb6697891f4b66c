package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// useTools is a second process: DIR URL. It asks for the directory, runs a program
// in it, and again when its input ends; until then it has the lease.
func useTools(args []string) error {
	m, err := tightManager(args[0], programSize)
	if err != nil {
		return err
	}
	fmt.Println("asking")
	d, err := m.GetDir(context.Background(), args[1], "tools", func(ctx context.Context, archive *File, into afero.Fs) error {
		fmt.Println("filling")
		return spread(ctx, archive, into)
	})
	if err != nil {
		return err
	}
	if err := runTools(d); err != nil {
		return err
	}
	_ = os.Chtimes(d.Path()+".entry", time.Unix(1e9, 0), time.Time{}) // the next to go, if it may
	fmt.Println("leased")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return errors.Join(runTools(d), d.Close(), m.Close())
}

// runTools executes the program by its name and by the link, and looks whether the
// directory is whole.
func runTools(d *Dir) error {
	for _, name := range []string{"bin/tool", "tool"} {
		if out, err := exec.Command(filepath.Join(d.Path(), name)).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w %s", name, err, out)
		}
	}
	for i := range 10 {
		if text, err := os.ReadFile(filepath.Join(d.Path(), "doc", fmt.Sprint(i), "page")); err != nil || string(text) != "text" {
			return fmt.Errorf("torn: %q %w", text, err)
		}
	}
	return nil
}

// toolCrowd is a test of many processes that use one directory at once.
type toolCrowd struct {
	processes int
	rounds    int
	fillers   int // processes that fill the cache far over its limit meanwhile
	kills     int // of the processes, in each round
}

func (c toolCrowd) run(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no /bin/true")
	}
	for round := range c.rounds {
		c.round(t, round)
		if t.Failed() {
			return
		}
	}
}

func (c toolCrowd) round(t *testing.T, round int) {
	program, err := os.ReadFile("/bin/true")
	require.NoError(t, err)
	gate := make(chan struct{})
	var requests atomic.Int32
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/archive" {
			requests.Add(1)
			<-gate
			_, _ = w.Write(program)
			return
		}
		_, _ = io.WriteString(w, contentOf(programSize))
	}))
	defer o.Close()
	dir := filepath.Join(t.TempDir(), "cache")
	users := make([]*toolUser, c.processes)
	for i := range users {
		users[i] = startToolUser(t, dir, o.URL+"/archive")
	}
	for _, u := range users {
		require.Equal(t, "", u.next("asking"))
	}
	fillers := make(chan string, c.fillers)
	for range c.fillers {
		p := startProcess(t, "fill", dir, o.URL+"/other", "25")
		go func() { fillers <- p.end() }()
	}
	victims := c.kill(t, users, gate)
	var all sync.WaitGroup
	var fills atomic.Int32
	for i, u := range users {
		all.Go(func() { u.await(t, victims[i], &fills) })
	}
	all.Wait()
	if c.kills == 0 {
		assert.EqualValues(t, 1, requests.Load(), "requests in round %d", round)
		assert.EqualValues(t, 1, fills.Load(), "fillings in round %d", round)
	}
	for _, u := range users {
		_ = u.in.Close()
	}
	for i, u := range users {
		if end := u.end(); !victims[i] {
			assert.Equal(t, "tools", end, "round %d", round)
		}
	}
	for range c.fillers {
		assert.Equal(t, "fill", <-fillers)
	}
	requireSwept(t, dir)
}

// kill opens the gate, and kills some of the processes around that moment.
func (c toolCrowd) kill(t *testing.T, users []*toolUser, gate chan struct{}) (victims map[int]bool) {
	victims = map[int]bool{}
	if c.kills == 0 {
		close(gate)
		return victims
	}
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	order := random.Perm(len(users))[:c.kills]
	for i, victim := range order {
		if i == c.kills/3 {
			close(gate)
		}
		time.Sleep(time.Duration(random.Int64N(int64(15 * time.Millisecond)))) // when does not matter
		require.NoError(t, users[victim].Process.Kill())
		victims[victim] = true
	}
	return victims
}

// requireSwept asserts that the next who opens the cache leaves the directory alone,
// or nothing, and that the count is right.
func requireSwept(t *testing.T, dir string) {
	t.Helper()
	m, err := tightManager(dir, programSize)
	require.NoError(t, err)
	defer m.Close()
	require.NoError(t, m.house.awaitTidied(t.Context()))
	names := treeNames(t, dir)
	if len(names) > 0 {
		require.Len(t, names, 2, "%v", names)
		assert.Equal(t, names[0]+".entry", names[1])
	}
	require.NoError(t, m.house.count(t.Context()))
	var sum int64
	for f, err := range m.Files() {
		require.NoError(t, err)
		sum += f.Size
	}
	assert.Equal(t, sum, m.Stats().Bytes)
	assert.Zero(t, m.Stats().Reserved)
}

// toolUser is a running useTools.
type toolUser struct {
	*process
	in io.WriteCloser
}

func startToolUser(t *testing.T, dir, url string) *toolUser {
	t.Helper()
	p := prepareProcess(t, "tools", dir, url)
	in, err := p.StdinPipe()
	require.NoError(t, err)
	p.start(t)
	return &toolUser{p, in}
}

// await waits until the process has the lease, or is dead.
func (u *toolUser) await(t *testing.T, victim bool, fills *atomic.Int32) {
	for {
		line, err := u.out.ReadString('\n')
		switch {
		case line == "filling\n":
			fills.Add(1)
		case line == "leased\n", err != nil && victim:
			return
		default:
			assert.Fail(t, "it failed", "%q %v", line, err)
			return
		}
	}
}

func TestManyProcessesUseOneDirectory(t *testing.T) {
	t.Parallel() // it waits for other processes
	toolCrowd{processes: 30, rounds: 1}.run(t)
}

func TestManyProcessesUseOneDirectoryWhileOthersFillTheCache(t *testing.T) {
	t.Parallel()
	toolCrowd{processes: 10, rounds: 1, fillers: 2}.run(t)
}

func TestManyProcessesUseOneDirectoryAndSomeAreKilled(t *testing.T) {
	t.Parallel()
	toolCrowd{processes: 12, rounds: 1, kills: 8}.run(t)
}

// stuckFill is a second process: DIR URL. It begins to fill the directory, and does not
// go on.
func stuckFill(args []string) error {
	m, err := tightManager(args[0], programSize)
	if err != nil {
		return err
	}
	_, err = m.GetDir(context.Background(), args[1], "tools", func(_ context.Context, _ *File, into afero.Fs) error {
		if err := afero.WriteFile(into, "half", []byte("half"), 0o666); err != nil {
			return err
		}
		fmt.Println("filling")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return afero.WriteFile(into, "other half", []byte("half"), 0o666)
	})
	return err
}

// newToolOrigin serves a program as /archive.
func newToolOrigin(t *testing.T) (o *httptest.Server, requests *atomic.Int32) {
	t.Helper()
	program, err := os.ReadFile("/bin/true")
	if runtime.GOOS == "windows" {
		program, err = []byte("program"), nil
	}
	require.NoError(t, err)
	requests = &atomic.Int32{}
	o = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		_, _ = w.Write(program)
	}))
	t.Cleanup(o.Close)
	return o, requests
}

func TestWhenTheFillerIsKilledAnotherOneFills(t *testing.T) {
	o, requests := newToolOrigin(t)
	dir := filepath.Join(t.TempDir(), "cache")
	filler := prepareProcess(t, "stuck", dir, o.URL+"/archive")
	in, err := filler.StdinPipe()
	require.NoError(t, err)
	defer in.Close()
	filler.start(t)
	require.Equal(t, "", filler.next("filling"))

	m, err := tightManager(dir, programSize)
	require.NoError(t, err)
	defer m.Close()
	assert.EqualValues(t, 0, countEntries(t, m, true), "what is half there is not there")
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	gaveUp := make(chan error)
	go func() {
		_, err := m.GetDir(ctx, o.URL+"/archive", "tools", spread)
		gaveUp <- err
	}()
	require.Eventually(t, func() bool { return m.flightCallers("tools") == 1 }, time.Minute, time.Millisecond)
	cancel(enough)
	require.ErrorIs(t, <-gaveUp, enough, "who waits gives up with his context")

	require.NoError(t, filler.Process.Kill())
	_ = filler.Wait()
	d, err := m.GetDir(t.Context(), o.URL+"/archive", "tools", spread)
	require.NoError(t, err)
	require.NoFileExists(t, filepath.Join(d.Path(), "half"))
	assert.EqualValues(t, 1, requests.Load(), "the archive was there")
	require.NoError(t, d.Close())
	require.NoError(t, m.Close())
	requireSwept(t, dir)
	requireTidy(t, dir, 1)
}

// countEntries returns how many directories, or files, there are.
func countEntries(t *testing.T, m *DownloadManager, dirs bool) (n int) {
	t.Helper()
	for f, err := range m.Files() {
		require.NoError(t, err)
		if f.Dir == dirs {
			n++
		}
	}
	return n
}

func TestAProgramInADirectoryIsExecutedWhileOthersFork(t *testing.T) {
	if runtime.GOOS == "windows" {
		return
	}
	o, _ := newToolOrigin(t)
	m := newManager(t, WithSync(SyncNone))
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
	for i := range 30 {
		d, err := m.GetDir(t.Context(), o.URL+"/archive", fmt.Sprint("tools", i), spread)
		require.NoError(t, err)
		require.NoError(t, runTools(d))
		require.NoError(t, d.Close())
	}
	close(stop)
	forks.Wait()
}
