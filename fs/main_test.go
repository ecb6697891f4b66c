package fs

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if args := os.Getenv(recorderEnv); args != "" {
		os.Exit(recordMany(args))
	}
	goleak.VerifyTestMain(m)
}

// eachFs runs the test on the operating system's file system and in memory.
func eachFs(t *testing.T, test func(t *testing.T, base afero.Fs, dir string)) {
	t.Run("os", func(t *testing.T) { test(t, afero.NewOsFs(), t.TempDir()+"/cache") })
	t.Run("memory", func(t *testing.T) { test(t, afero.NewMemMapFs(), "/cache") })
}

// openDir opens a cache directory that the test closes.
func openDir(t *testing.T, base afero.Fs, path string) *Dir {
	t.Helper()
	d, err := Open(base, path, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// land puts a finished file into the directory.
func land(t *testing.T, d *Dir, name, content string) {
	t.Helper()
	p, err := create(d, name, 0o666)
	require.NoError(t, err)
	_, err = p.WriteAt([]byte(content), 0)
	require.NoError(t, err)
	require.NoError(t, p.Commit(SyncFile))
}

// content reads a finished file.
func content(t *testing.T, d *Dir, name string) string {
	t.Helper()
	f, err := d.Open(name)
	require.NoError(t, err)
	defer f.Close()
	text, err := io.ReadAll(f)
	require.NoError(t, err)
	return string(text)
}

// requireNoPartials asserts that no file on its way is left.
func requireNoPartials(t *testing.T, d *Dir) {
	t.Helper()
	names, err := afero.ReadDir(d.fsys, partialDir)
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	require.Empty(t, names)
}

// create makes a partial file as one does who adopts nothing and waits for
// nobody.
func create(d *Dir, name string, perm os.FileMode) (*Partial, error) {
	spot, err := d.Spot(name)
	if err != nil {
		return nil, err
	}
	return createAt(spot, perm)
}

func createSibling(fsys afero.Fs, dest string, perm os.FileMode) (*Partial, error) {
	spot, err := SiblingSpot(fsys, dest)
	if err != nil {
		return nil, err
	}
	return createAt(spot, perm)
}

func createAt(spot Spot, perm os.FileMode) (*Partial, error) {
	p, err := spot.Create(perm, nil)
	if errors.Is(err, ErrHeld) {
		return spot.CreateApart(perm)
	}
	return p, err
}

func ignore(Leftover) {}
