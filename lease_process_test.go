package dlmanager

import (
	"context"
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
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/fs"
)

// leaseHelper is the second process of the tests in this file:
//
//	hold DIR URL NAME        opens the file and has it until it is killed
//	read DIR URL COUNT ROUNDS SIZE  opens the files 0, 1, … and reads them; the
//	                         directory holds a few of them
//	run DIR URL ROUNDS       executes the program, and fills the directory
func leaseHelper(what string, args []string) int {
	err := map[string]func([]string) error{"hold": holdFile, "read": readFiles, "run": runProgram}[what](args)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("done", what)
	return 0
}

func holdFile(args []string) error {
	m, err := NewDownloadManager(args[0])
	if err != nil {
		return err
	}
	if _, err := m.Get(context.Background(), args[1], args[2]); err != nil {
		return err
	}
	fmt.Println("holding")
	select {}
}

// tightManager returns a manager whose directory is nearly always full.
func tightManager(dir string, size int64, opts ...Option) (*DownloadManager, error) {
	return NewDownloadManager(dir, append(opts, WithSizeLimit(3*size), WithFileLimit(1), WithSync(SyncNone))...)
}

func readFiles(args []string) error {
	count, _ := strconv.Atoi(args[2])
	rounds, _ := strconv.Atoi(args[3])
	size, _ := strconv.ParseInt(args[4], 10, 64)
	m, err := tightManager(args[0], size)
	if err != nil {
		return err
	}
	defer m.Close()
	want := contentOf(size)
	for i := range rounds {
		f, err := m.Get(context.Background(), args[1], strconv.Itoa((i*i+os.Getpid())%count))
		if err != nil {
			return err
		}
		if err := readWhole(f, want); err != nil {
			return err
		}
	}
	return nil
}

// readWhole reads the file, also by its path, which is good until it is closed.
func readWhole(f *File, want string) error {
	got, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	byPath, err := os.ReadFile(f.Path())
	if err != nil {
		return err
	}
	if string(got) != want || string(byPath) != want {
		return fmt.Errorf("%s is torn", f.Name())
	}
	return f.Close()
}

func runProgram(args []string) error {
	rounds, _ := strconv.Atoi(args[2])
	m, err := tightManager(args[0], 100_000)
	if err != nil {
		return err
	}
	defer m.Close()
	for i := range rounds {
		f, err := m.Get(context.Background(), args[1]+"/program", "program", WithMode(0o777))
		if err != nil {
			return err
		}
		if err := m.Download(args[1]+"/other", fmt.Sprint("other", os.Getpid(), i%7)).Wait(); err != nil {
			return err
		}
		if out, err := exec.Command(f.Path()).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

func TestTheLeaseOfAKilledProcessIsGone(t *testing.T) {
	o := newMeteredOrigin(t, 1000, nil)
	dir := filepath.Join(t.TempDir(), "cache")
	holder := startProcess(t, "hold", dir, o.URL, "file")
	require.Empty(t, holder.next("holding"))
	m := managerAt(t, dir)
	require.ErrorIs(t, m.dir.Evict("file"), fs.ErrLeased)
	require.NoError(t, holder.Process.Kill())
	_ = holder.Wait()
	require.NoError(t, m.dir.Evict("file"))
	left, err := os.ReadDir(filepath.Join(dir, ".dlm"))
	require.NoError(t, err)
	for _, e := range left {
		assert.NotContains(t, strings.ToLower(e.Name()), "lock", "there is nothing to clean up")
	}
}

// Processes that all read what the others evict never fail: who loses the race
// fetches the file again.
func TestReadersInSeveralProcessesNeverFail(t *testing.T) {
	const size, count, rounds = 10_000, 8, 60
	o := newMeteredOrigin(t, size, nil)
	dir := filepath.Join(t.TempDir(), "cache")
	var all []*process
	for range 4 {
		all = append(all, startProcess(t, "read", dir, o.URL, fmt.Sprint(count), fmt.Sprint(rounds), fmt.Sprint(size)))
	}
	for _, p := range all {
		assert.Equal(t, "read", p.end())
	}
	assert.Greater(t, int(o.requests.Load()), count, "files were evicted, and fetched again")
	requireNothingUnfinished(t, dir)
}

// A program that is executed from the cache is there for as long as it is leased,
// and never busy, whatever others fetch and evict.
func TestAProgramIsExecutedWhileOthersEvict(t *testing.T) {
	if runtime.GOOS == "windows" {
		return
	}
	program, err := os.ReadFile("/bin/true")
	require.NoError(t, err)
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/program" {
			_, _ = w.Write(program)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(contentOf(100_000)))
	}))
	t.Cleanup(o.Close)
	dir := filepath.Join(t.TempDir(), "cache")
	var all []*process
	for range 4 {
		all = append(all, startProcess(t, "run", dir, o.URL, "25"))
	}
	for _, p := range all {
		assert.Equal(t, "run", p.end())
	}
}
