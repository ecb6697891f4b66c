package dlmanager

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkLockFile records one more URL.
func BenchmarkLockFile(b *testing.B) {
	for _, lines := range []int{1000, 10_000} {
		b.Run(strconv.Itoa(lines), func(b *testing.B) {
			var text strings.Builder
			for i := range lines {
				text.WriteString("https://example.com/releases/download/v1.2.3/file-" + strconv.Itoa(i) + " " + sumA + "\n")
			}
			file := filepath.Join(b.TempDir(), "dlm.lock")
			require.NoError(b, os.WriteFile(file, []byte(text.String()), 0o666))
			lock, err := OpenLockFile(file, LockOptions{})
			require.NoError(b, err)
			c, err := newCheck(sumA, nil, nil)
			require.NoError(b, err)
			for i := 0; b.Loop(); i++ {
				u, err := parseURL("https://example.com/new/" + strconv.Itoa(i))
				require.NoError(b, err)
				require.NoError(b, lock.hold(b.Context(), u, c.want[0]))
			}
		})
	}
}
