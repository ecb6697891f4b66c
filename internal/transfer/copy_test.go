package transfer

import (
	"bytes"
	"context"
	"hash/crc32"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// discarding is a sink for measuring.
type discarding struct{}

func (discarding) Start(Head, Source, int64) error        { return nil }
func (discarding) Stored(*Result, int) error              { return nil }
func (discarding) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

// receive copies a body as Fetch does.
func receive(t testing.TB, from io.Reader, to Sink) Result {
	w := newWatch(context.Background(), time.Hour)
	defer w.stop()
	l := &line{fetch: &fetch{watch: w}, board: newBoard(Result{Head: Head{Total: -1}}, to, nil, func(error) {})}
	l.part = l.board.take(l)
	require.NoError(t, l.receive(from))
	return l.board.snapshot()
}

func TestChecksumOverOddChunks(t *testing.T) {
	want := content(t, 1<<20)
	sizes := []int{1, 7, 4095, 3, 32 << 10, 65537, 2, 0}
	from, step := bytes.NewReader(want), 0
	m := &memory{}
	result := receive(t, readFunc(func(p []byte) (int, error) {
		n := sizes[step%len(sizes)]
		step++
		if n == 0 || n > len(p) {
			n = len(p)
		}
		return from.Read(p[:n])
	}), m)
	require.True(t, bytes.Equal(want, m.data))
	require.Equal(t, crc32.Checksum(want, castagnoli), result.CRC32C)
	require.EqualValues(t, len(want), result.N)
}

func TestBytesThatComeWithAnErrorAreStored(t *testing.T) {
	w := newWatch(t.Context(), 0)
	defer w.stop()
	m := &memory{}
	l := &line{fetch: &fetch{watch: w, req: Request{URL: parse(t, "http://h/")}}, board: newBoard(Result{Head: Head{Total: -1}}, m, nil, func(error) {})}
	l.part = l.board.take(l)
	err := l.receive(readFunc(func(p []byte) (int, error) { return copy(p, "last"), io.ErrUnexpectedEOF }))
	failed := requireFailure(t, err, ErrCut)
	require.EqualValues(t, 4, failed.Offset)
	require.Equal(t, "last", string(m.data))
}

func BenchmarkFetch(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int64
	}{{"1KiB", 1 << 10}, {"1MiB", 1 << 20}, {"256MiB", 256 << 20}} {
		b.Run(size.name, func(b *testing.B) {
			o := testorigin.New(b)
			req := Request{
				URL: parse(b, o.ServeSize("/f", size.bytes)), UserAgent: "bench",
				Stall: stall, Client: newClient(b),
			}
			b.SetBytes(size.bytes)
			b.ReportAllocs()
			for b.Loop() {
				_, err := Fetch(b.Context(), req, discarding{})
				require.NoError(b, err)
			}
		})
	}
}

// BenchmarkReceive is the copy alone: buffers, checksum, stall clock.
func BenchmarkReceive(b *testing.B) {
	const size = 64 << 20
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		left := size
		receive(b, readFunc(func(p []byte) (int, error) {
			if left == 0 {
				return 0, io.EOF
			}
			n := min(len(p), left)
			left -= n
			return n, nil
		}), discarding{})
	}
}
