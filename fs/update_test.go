package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/faultfs"
)

func TestUpdatesOfOneFileFollowEachOther(t *testing.T) {
	dest := filepath.Join(t.TempDir(), "new", "file")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			assert.NoError(t, Update(t.Context(), afero.NewOsFs(), dest, 0o666, func() ([]byte, error) {
				old, err := os.ReadFile(dest)
				if errors.Is(err, os.ErrNotExist) {
					err = nil
				}
				return append(old, fmt.Sprintln(i)...), err
			}))
		})
	}
	wg.Wait()
	text, err := os.ReadFile(dest)
	require.NoError(t, err)
	assert.Len(t, strings.Fields(string(text)), 20)
	requireOnly(t, filepath.Dir(dest), "file")
}

// requireOnly asserts that the folder has nothing but these.
func requireOnly(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	require.Equal(t, names, got)
}

func TestAnUpdateThatIsNoneLeavesTheFile(t *testing.T) {
	dir := t.TempDir()
	dest := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(dest, []byte("old"), 0o600))
	refused := errors.New("refused")
	for _, want := range []error{nil, refused} {
		err := Update(t.Context(), afero.NewOsFs(), dest, 0o666, func() ([]byte, error) { return nil, want })
		require.ErrorIs(t, err, want)
	}
	full := faultfs.New(afero.NewOsFs())
	full.Fail(faultfs.OpWrite, nil, errors.New("full"))
	require.ErrorContains(t, Update(t.Context(), full, dest, 0o666, func() ([]byte, error) { return []byte("new"), nil }), "full")
	text, err := os.ReadFile(dest)
	require.NoError(t, err)
	assert.Equal(t, "old", string(text))
	requireOnly(t, dir, "file")
	for _, perm := range []os.FileMode{0o600, 0o662, 0o444} {
		require.NoError(t, os.Chmod(dest, perm))
		require.NoError(t, Update(t.Context(), afero.NewOsFs(), dest, 0o666, func() ([]byte, error) { return []byte("new"), nil }))
		if runtime.GOOS != "windows" {
			fi, err := os.Stat(dest)
			require.NoError(t, err)
			assert.Equal(t, perm, fi.Mode().Perm(), "its own permissions stay")
		}
	}
	require.Error(t, Update(t.Context(), afero.NewOsFs(), dir, 0o666, func() ([]byte, error) { return []byte("x"), nil }))
}

func TestWhoWaitsForAnUpdateEndsWithItsContext(t *testing.T) {
	dest := filepath.Join(t.TempDir(), "file")
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	require.NoError(t, Update(t.Context(), afero.NewOsFs(), dest, 0o666, func() ([]byte, error) {
		waits := make(chan error)
		go func() {
			waits <- Update(ctx, afero.NewOsFs(), dest, 0o666, func() ([]byte, error) { return []byte("b"), nil })
		}()
		cancel(stop)
		require.ErrorIs(t, <-waits, stop)
		return []byte("a"), nil
	}))
	text, err := os.ReadFile(dest)
	require.NoError(t, err)
	assert.Equal(t, "a", string(text))
}

func TestWhatAKilledUpdateHasLeftIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	dest := filepath.Join(dir, "file")
	spot, err := SiblingSpot(afero.NewOsFs(), dest)
	require.NoError(t, err)
	p, err := spot.Create(0o666, nil)
	require.NoError(t, err)
	_, err = p.WriteAt([]byte("half of it"), 0)
	require.NoError(t, err)
	for _, f := range []handle{p.file, p.lock} { // as the system does when a process dies
		if err := f.Close(); !errors.Is(err, os.ErrClosed) { // they may be one
			require.NoError(t, err)
		}
	}
	require.NoError(t, Update(t.Context(), afero.NewOsFs(), dest, 0o666, func() ([]byte, error) { return []byte("x"), nil }))
	text, err := os.ReadFile(dest)
	require.NoError(t, err)
	assert.Equal(t, "x", string(text))
	requireOnly(t, dir, "file")
}
