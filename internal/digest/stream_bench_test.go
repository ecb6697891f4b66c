package digest

import (
	"crypto/sha256"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	benchSize  = 1 << 30
	benchChunk = 1 << 20
)

// benchPool stands for the pool of buffers that a transfer has.
func benchPool() *sync.Pool {
	return &sync.Pool{New: func() any { b := make([]byte, benchChunk); return &b }}
}

func BenchmarkPlain(b *testing.B) {
	chunk := make([]byte, benchChunk)
	b.SetBytes(benchSize)
	for b.Loop() {
		h := sha256.New()
		for at := 0; at < benchSize; at += benchChunk {
			h.Write(chunk)
		}
		_ = h.Sum(nil)
	}
}

func BenchmarkStream(b *testing.B) {
	pool := benchPool()
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		s := NewStream(nil, SHA256)
		for at := int64(0); at < benchSize; at += benchChunk {
			chunk := pool.Get().(*[]byte)
			s.Take(b.Context(), *chunk, at, func() { pool.Put(chunk) })
		}
		_, err := s.Sum(b.Context(), benchSize)
		require.NoError(b, err)
		s.Close()
	}
}

// BenchmarkTake is what a receiver pays for a small chunk when the hash keeps up.
func BenchmarkTake(b *testing.B) {
	s := NewStream(nil)
	defer s.Close()
	chunk := make([]byte, 32<<10)
	release := func() {}
	b.ReportAllocs()
	at := int64(0)
	for b.Loop() {
		s.Take(b.Context(), chunk, at, release)
		at += int64(len(chunk))
	}
}
