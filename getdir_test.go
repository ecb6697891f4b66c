package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"io"
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

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// spread is a Filler: the archive becomes bin/tool, with some more around it.
func spread(_ context.Context, archive *File, into afero.Fs) error {
	if err := into.MkdirAll("bin", 0o777); err != nil {
		return err
	}
	tool, err := into.OpenFile("bin/tool", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o777)
	if err != nil {
		return err
	}
	if _, err := io.Copy(tool, archive); err != nil {
		return errors.Join(err, tool.Close())
	}
	if err := tool.Close(); err != nil {
		return err
	}
	if runtime.GOOS != "windows" {
		if err := into.(afero.Symlinker).SymlinkIfPossible("bin/tool", "tool"); err != nil {
			return err
		}
	}
	for i := range 10 {
		folder := fmt.Sprintf("doc/%d", i)
		if err := errors.Join(into.MkdirAll(folder, 0o777), afero.WriteFile(into, folder+"/page", []byte("text"), 0o666)); err != nil {
			return err
		}
	}
	return nil
}

// counted is a Filler that counts how often it is called.
func counted(fill Filler) (Filler, *atomic.Int32) {
	var n atomic.Int32
	return func(ctx context.Context, archive *File, into afero.Fs) error {
		n.Add(1)
		return fill(ctx, archive, into)
	}, &n
}

// spreadSize is how many bytes spread makes of an archive.
func spreadSize(archive string) int64 { return int64(len(archive)) + 10*4 }

// requireTidy asserts that in the folder of the directories is what belongs to
// so many of them, and nothing else; and that no archive is left.
func requireTidy(t testing.TB, dir string, trees int) {
	t.Helper()
	names := treeNames(t, dir)
	require.Len(t, names, 2*trees, "%v", names)
	require.NoDirExists(t, filepath.Join(dir, archiveDir))
}

func treeNames(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, ".dlm", "trees"))
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestADirectoryIsFilledOnceAndThenThere(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/archive", []byte("program"))
	dir := filepath.Join(t.TempDir(), "cache")
	fill, fills := counted(spread)
	var path string
	for i, origin := range []Origin{OriginFetched, OriginCached, OriginCached} {
		m := managerAt(t, dir)
		d, err := m.GetDir(t.Context(), url, "tools", fill)
		require.NoError(t, err)
		assert.Equal(t, origin, d.Result().Origin)
		assert.Equal(t, sha256Of("program"), d.Result().Digest)
		assert.EqualValues(t, 7, d.Result().Bytes)
		assert.Equal(t, spreadSize("program"), d.Size())
		assert.Equal(t, "tools", d.Name())
		requireContent(t, "program", filepath.Join(d.Path(), "bin", "tool"))
		requireContent(t, "text", filepath.Join(d.Path(), "doc", "7", "page"))
		if runtime.GOOS != "windows" {
			requireContent(t, "program", filepath.Join(d.Path(), "tool"))
			info, err := os.Stat(filepath.Join(d.Path(), "bin", "tool"))
			require.NoError(t, err)
			assert.NotZero(t, info.Mode()&0o100)
		}
		if i > 0 {
			assert.Equal(t, path, d.Path())
		}
		path = d.Path()
		require.NoError(t, d.Close())
		require.NoError(t, d.Close(), "a second time does nothing")
		require.NoError(t, m.Close())
	}
	assert.Equal(t, 1, o.Count("/archive"))
	assert.EqualValues(t, 1, fills.Load())
	requireTidy(t, dir, 1)
}

func TestCallersOfOneDirectoryShareItsFilling(t *testing.T) {
	gate := make(chan struct{})
	o := testorigin.New(t)
	url := o.Serve("/archive", []byte("program"), testorigin.GateAfter(3, gate))
	m := newManager(t)
	fill, fills := counted(spread)
	var all sync.WaitGroup
	var reports atomic.Int32
	for range 20 {
		all.Go(func() {
			d, err := m.GetDir(t.Context(), url, "tools", fill, WithProgress(func(*Download, int64, int64) { reports.Add(1) }))
			if assert.NoError(t, err) {
				assert.NoError(t, d.Close())
			}
		})
	}
	<-o.Arrived("/archive", 1)
	require.Eventually(t, func() bool { return m.flightCallers("tools") == 20 }, time.Minute, time.Millisecond)
	close(gate)
	all.Wait()
	assert.Equal(t, 1, o.Count("/archive"))
	assert.EqualValues(t, 1, fills.Load())
	assert.GreaterOrEqual(t, reports.Load(), int32(20), "each one's progress is told")
}

// flightCallers returns how many callers wait for the directory.
func (m *DownloadManager) flightCallers(name string) int {
	id, _ := treeOf(name + "/")
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.flights[id]; f != nil {
		return f.callers
	}
	return 0
}

func TestFillersThatFail(t *testing.T) {
	failure := errors.New("my failure")
	write := func(into afero.Fs) {
		_ = into.MkdirAll("folder", 0o777)
		_ = afero.WriteFile(into, "folder/file", []byte("half"), 0o666)
	}
	for name, tt := range map[string]struct {
		fill Filler
		is   error
		text string
	}{
		"error":                {func(_ context.Context, _ *File, into afero.Fs) error { write(into); return failure }, failure, `fill "tools": my failure`},
		"panic":                {func(_ context.Context, _ *File, into afero.Fs) error { write(into); panic("my panic") }, nil, `fill "tools": filler panicked: my panic`},
		"end of the goroutine": {func(_ context.Context, _ *File, into afero.Fs) error { write(into); runtime.Goexit(); return nil }, nil, "runtime.Goexit"},
		"left open": {func(_ context.Context, _ *File, into afero.Fs) error {
			write(into)
			if _, err := into.Create("open"); err != nil {
				return err
			}
			return failure
		}, failure, "my failure"},
		"folder nobody may write": {func(_ context.Context, _ *File, into afero.Fs) error {
			write(into)
			return errors.Join(into.Chmod("folder", 0o555), failure)
		}, failure, "my failure"},
		"link to elsewhere": {func(_ context.Context, _ *File, into afero.Fs) error {
			return into.(afero.Symlinker).SymlinkIfPossible("../../../elsewhere", "link")
		}, nil, `"link" is a link to "../../../elsewhere", which leads out`},
		"absolute link": {func(_ context.Context, _ *File, into afero.Fs) error {
			return into.(afero.Symlinker).SymlinkIfPossible(os.TempDir(), "link")
		}, nil, "which leads out"},
		"link through links": {func(_ context.Context, _ *File, into afero.Fs) error {
			links := into.(afero.Symlinker)
			return errors.Join(into.MkdirAll("a/b", 0o777), links.SymlinkIfPossible("../..", "a/b/top"), links.SymlinkIfPossible("a/b/top/..", "out"))
		}, nil, "which leads out"},
		"path out": {func(_ context.Context, _ *File, into afero.Fs) error {
			return afero.WriteFile(into, "../out", nil, 0o666)
		}, nil, "escapes"},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.Contains(name, "link") {
				t.Skip("links need a privilege")
			}
			o := testorigin.New(t)
			url := o.Serve("/archive", []byte("program"))
			dir := filepath.Join(t.TempDir(), "cache")
			m := managerAt(t, dir, WithSizeLimit(1000))
			_, err := m.GetDir(t.Context(), url, "tools", tt.fill)
			require.Error(t, err)
			assert.Contains(t, err.Error(), tt.text)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
			assert.Empty(t, treeNames(t, dir))
			assert.Zero(t, m.Stats().Reserved)

			d, err := m.GetDir(t.Context(), url, "tools", spread)
			require.NoError(t, err, "the next one may")
			assert.Equal(t, 1, o.Count("/archive"), "with the archive that is there")
			require.NoError(t, d.Close())
			requireTidy(t, dir, 1)
			assert.Equal(t, spreadSize("program"), m.Stats().Bytes)
		})
	}
}

func TestNothingIsWrittenAfterTheFilling(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	var late afero.Fs
	var open afero.File
	d, err := m.GetDir(t.Context(), o.Serve("/archive", []byte("x")), "tools", func(_ context.Context, _ *File, into afero.Fs) (err error) {
		late = into
		open, err = into.Create("file")
		return err
	})
	require.NoError(t, err)
	_, err = open.Write([]byte("late"))
	require.ErrorIs(t, err, os.ErrClosed)
	require.ErrorIs(t, afero.WriteFile(late, "new", nil, 0o666), os.ErrClosed)
	require.ErrorIs(t, late.Remove("file"), os.ErrClosed)
	requireContent(t, "", filepath.Join(d.Path(), "file"))
}

func TestAFillingIsInterruptedWhenNobodyWaitsForIt(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/archive", []byte("program"))
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir)
	began := make(chan struct{})
	stubborn := func(ctx context.Context, _ *File, into afero.Fs) error {
		close(began)
		for {
			if err := afero.WriteFile(into, "file", []byte("more"), 0o666); err != nil {
				return nil // who ignores it is stopped all the same
			}
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	mine := errors.New("enough")
	go func() {
		<-began
		cancel(mine)
	}()
	_, err := m.GetDir(ctx, url, "tools", stubborn)
	require.ErrorIs(t, err, mine)
	d, err := m.GetDir(t.Context(), url, "tools", spread)
	require.NoError(t, err, "who comes next waits for the end of that, and fills it himself")
	require.NoError(t, d.Close())
	assert.Equal(t, 1, o.Count("/archive"))
	requireTidy(t, dir, 1)
}

func TestCloseEndsTheFilling(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/archive", []byte("program"))
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir)
	began := make(chan struct{})
	failed := make(chan error)
	go func() {
		_, err := m.GetDir(context.Background(), url, "tools", func(ctx context.Context, _ *File, _ afero.Fs) error {
			close(began)
			<-ctx.Done()
			return context.Cause(ctx)
		})
		failed <- err
	}()
	<-began
	closed := make(chan error)
	go func() { closed <- m.Close() }()
	require.ErrorIs(t, <-failed, ErrInterrupted)
	require.NoError(t, <-closed)
	_, err := m.GetDir(t.Context(), url, "tools", spread)
	require.ErrorIs(t, err, ErrClosed)
	assert.Empty(t, treeNames(t, dir))
}

func TestShutdownWaitsForDirectories(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/archive", []byte("program"))
	dir := filepath.Join(t.TempDir(), "cache")
	first, m := managerAt(t, dir), managerAt(t, dir)
	began, fail := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 2)
	go func() {
		_, err := first.GetDir(t.Context(), url, "tools", func(context.Context, *File, afero.Fs) error {
			close(began)
			<-fail
			return errors.New("failed")
		})
		ended <- err
	}()
	<-began
	filled := make(chan error, 1)
	go func() {
		d, err := m.GetDir(t.Context(), url, "tools", spread)
		if err == nil {
			err = d.Close()
		}
		filled <- err
	}()
	require.Eventually(t, func() bool { return m.flightCallers("tools") == 1 }, time.Minute, time.Millisecond)
	down := make(chan error, 1)
	go func() { down <- m.Shutdown(t.Context()) }()
	require.Eventually(t, m.isClosed, time.Minute, time.Millisecond)
	_, err := m.GetDir(t.Context(), url, "others", spread)
	require.ErrorIs(t, err, ErrClosed)
	close(fail)
	require.Error(t, <-ended)
	require.NoError(t, <-filled, "it is still made, with its archive")
	require.NoError(t, <-down)
}

func TestAFillerCannotOverrunTheLimit(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/archive", []byte("program"))
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir, WithSizeLimit(1<<20), WithFileLimit(1))
	other, err := m.Get(t.Context(), o.ServeSize("/other", 100_000), "other")
	require.NoError(t, err)
	require.NoError(t, other.Close())
	var wrote int
	var most int64
	greedy := func(_ context.Context, _ *File, into afero.Fs) error {
		f, err := into.Create("bomb")
		if err != nil {
			return err
		}
		for b := make([]byte, 1000); ; wrote += len(b) {
			if _, err := f.Write(b); err != nil {
				return err
			}
			most = max(most, m.limit.Usage().Reserved)
		}
	}
	_, err = m.GetDir(t.Context(), url, "tools", greedy)
	require.ErrorIs(t, err, ErrTooLarge)
	assert.Contains(t, err.Error(), "1048576 bytes")
	assert.Less(t, wrote, 1<<20)
	assert.Greater(t, most, int64(wrote), "what was written counted as reserved")
	_, err = m.Stat("other")
	require.ErrorIs(t, err, ErrNotCached, "what was there made room")
	assert.Empty(t, treeNames(t, dir))
	assert.Zero(t, m.Stats().Reserved)
}
