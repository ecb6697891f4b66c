package dlmanager

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newManager returns a manager of a new directory that the test closes.
func newManager(t testing.TB, opts ...Option) *DownloadManager {
	t.Helper()
	return managerAt(t, filepath.Join(t.TempDir(), "cache"), opts...)
}

// managerAt returns a manager of dir that the test closes; then nothing on its
// way may be left in it.
func managerAt(t testing.TB, dir string, opts ...Option) *DownloadManager {
	t.Helper()
	m, err := NewDownloadManager(dir, opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, m.Close())
		if m.cfg.defaults.fs.Name() == afero.NewOsFs().Name() {
			requireNoPartials(t, dir)
		}
	})
	return m
}

// requireNoPartials asserts that no file on its way is anywhere below dir.
func requireNoPartials(t testing.TB, dir string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		require.NoError(t, err)
		require.False(t, strings.HasSuffix(path, ".part"), "%s is left", path)
		return nil
	}))
}

// requireContent asserts what is in a file.
func requireContent(t testing.TB, want, path string) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

// events notes what happens, in order.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(s string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, s)
}

func (e *events) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.list...)
}

// hooks returns hooks that note starts and ends by the destination's base name.
func (e *events) hooks() Hooks {
	return Hooks{
		Started:  func(d *Download) { e.add("started " + filepath.Base(d.Dest())) },
		Finished: func(d *Download) { e.add("finished " + filepath.Base(d.Dest())) },
	}
}
