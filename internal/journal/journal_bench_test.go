package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/require"
)

// payload is about as long as what is kept of one download.
var payload = bytes.Repeat([]byte("x"), 200)

// BenchmarkRecord is one record on a real disk, not flushed.
func BenchmarkRecord(b *testing.B) {
	l := New(afero.NewOsFs(), filepath.Join(b.TempDir(), "journal"))
	defer l.Close()
	b.ReportAllocs()
	for b.Loop() {
		if err := add(l, payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReplayRecords reads 10,000 of them.
func BenchmarkReplayRecords(b *testing.B) {
	const records = 10_000
	path := filepath.Join(b.TempDir(), "journal")
	l := New(afero.NewOsFs(), path)
	for range records {
		require.NoError(b, add(l, payload))
	}
	require.NoError(b, l.Close())
	f, err := os.Open(path)
	require.NoError(b, err)
	defer f.Close()
	b.SetBytes(int64(records * (headerSize + len(payload))))
	b.ReportAllocs()
	for b.Loop() {
		_, n, err := Replay(b.Context(), f, 0, func([]byte, int64) {})
		require.NoError(b, err)
		require.Equal(b, records, n)
	}
}
