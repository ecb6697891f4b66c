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
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/fs"
)

// leaseHelpers are second processes:
//
//	hold DIR URL NAME        opens the file and has it until it is killed
//	read DIR URL COUNT ROUNDS SIZE  opens the files 0, 1, … and reads them; the
//	                         directory holds a few of them
//	fill DIR URL COUNT       fetches files, for which others have to go
//	readonly DIR URL         uses a directory in which it may change nothing
//	tools DIR URL            see useTools
//	stuck DIR URL            see stuckFill
//	lock DIR LOCK URL FROM TO  fetches the files FROM, … with a lock file
var leaseHelpers = map[string]func([]string) error{
	"hold": holdFile, "read": readFiles, "fill": fillDirectory, "readonly": useReadOnly, "tools": useTools, "stuck": stuckFill,
	"lock": lockMany,
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
	var last *File
	for range rounds {
		f, err := m.Get(context.Background(), args[1], strconv.Itoa(rand.IntN(count)))
		if err != nil {
			return err
		}
		makeOld(f)
		if last != nil { // which others have been wanting to evict since
			if err := readWhole(last, want); err != nil {
				return err
			}
		}
		last = f
	}
	return last.Close()
}

// makeOld makes the file the next one to be evicted, if it may be.
func makeOld(f *File) {
	_ = os.Chtimes(f.Path(), time.Unix(1e9, 0), time.Time{})
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

// programSize is at least that of the program which is executed, for the limit.
const programSize = 100_000

func fillDirectory(args []string) error {
	count, _ := strconv.Atoi(args[2])
	m, err := tightManager(args[0], programSize)
	if err != nil {
		return err
	}
	for i := range count {
		m.Download(args[1], fmt.Sprint("other", os.Getpid(), i))
	}
	return errors.Join(m.Wait(), m.Close())
}

func useReadOnly(args []string) error {
	dir, url := args[0], args[1]
	if f, err := os.Create(filepath.Join(dir, "new")); err == nil {
		return errors.Join(errors.New("the directory can be written"), f.Close(), os.Remove(f.Name()))
	}
	m, err := NewDownloadManager(dir, WithSizeLimit(1000), WithFileLimit(1))
	if err != nil {
		return err
	}
	d := m.Download(url, "folder/file")
	if err := d.Wait(); err != nil {
		return err
	}
	if d.Result().Origin != OriginCached {
		return errors.New("it was fetched")
	}
	for _, open := range []func() (*File, error){
		func() (*File, error) { return m.Open("folder/file") },
		func() (*File, error) { return m.Get(context.Background(), url, "folder/file") },
	} {
		f, err := open()
		if err != nil {
			return err
		}
		if err := readWhole(f, "content"); err != nil {
			return err
		}
	}
	if _, err := m.Open("folder/missing"); !errors.Is(err, ErrNotCached) {
		return fmt.Errorf("not ErrNotCached: %w", err)
	}
	if err := m.Download(url, "folder/missing").Wait(); !errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("no clear error: %w", err)
	}
	return m.Close()
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
	const size, count, rounds = 10_000, 12, 100
	o := newMeteredOrigin(t, size, nil)
	dir := filepath.Join(t.TempDir(), "cache")
	var all []*process
	for range 4 {
		all = append(all, startProcess(t, "read", dir, o.URL, fmt.Sprint(count), fmt.Sprint(rounds), fmt.Sprint(size)))
	}
	for _, p := range all {
		assert.Equal(t, "read", p.end())
	}
	assert.Greater(t, int(o.requests.Load()), 2*count, "files were evicted, and fetched again")
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
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(contentOf(programSize)))
	}))
	t.Cleanup(o.Close)
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir, WithMode(0o777))
	fill := func() *process { return startProcess(t, "fill", dir, o.URL+"/other", "5") }
	for range 3 {
		f, err := m.Get(t.Context(), o.URL+"/program", "program")
		require.NoError(t, err)
		makeOld(f)
		others := []*process{fill(), fill(), fill()}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for _, p := range others {
				assert.Equal(t, "fill", p.end())
			}
		}()
		for running, ok := true, true; running; {
			select {
			case <-done:
				running = false // and once more
			default:
			}
			if ok {
				out, err := exec.Command(f.Path()).CombinedOutput()
				ok = assert.NoError(t, err, "%s", out)
			}
		}
		require.NoError(t, f.Close())
		assert.Equal(t, "fill", fill().end())
		_, err = m.Open("program")
		require.ErrorIs(t, err, ErrNotCached, "it was the next to go")
	}
}
