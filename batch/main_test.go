package batch

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/dlmanager/dlmanager"
)

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		os.Exit(helper(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// newManager returns a manager of a new directory that the test closes. It tries
// once, unless opts say otherwise.
func newManager(t testing.TB, opts ...dlmanager.Option) *dlmanager.DownloadManager {
	t.Helper()
	return managerAt(t, filepath.Join(t.TempDir(), "cache"), opts...)
}

func managerAt(t testing.TB, dir string, opts ...dlmanager.Option) *dlmanager.DownloadManager {
	t.Helper()
	opts = append([]dlmanager.Option{dlmanager.WithStrategy(dlmanager.Once{}), dlmanager.WithSync(dlmanager.SyncNone)}, opts...)
	m, err := dlmanager.NewDownloadManager(dir, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// endless gives out items without an end, and counts them.
func endless(base string, taken *int) iter.Seq[Item[int]] {
	return func(yield func(Item[int]) bool) {
		for i := 0; ; i++ {
			*taken = i + 1
			if !yield(Item[int]{Link{URL: fmt.Sprint(base, "/", i)}, i}) {
				return
			}
		}
	}
}
