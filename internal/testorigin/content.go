package testorigin

import (
	"encoding/binary"
	"io"
)

// Content returns the first size bytes of the generated body: what
// [Origin.ServeSize] and [Size] send. Every offset has its own eight bytes, so
// that a splice at a wrong offset never compares equal.
func Content(size int64) *io.SectionReader {
	return io.NewSectionReader(pattern{}, 0, size)
}

// pattern is an endless body.
type pattern struct{}

func (pattern) ReadAt(p []byte, offset int64) (int, error) {
	var word [8]byte
	for n := 0; n < len(p); {
		at := uint64(offset) + uint64(n)
		binary.LittleEndian.PutUint64(word[:], mix(at/8))
		n += copy(p[n:], word[at%8:])
	}
	return len(p), nil
}

// mix is the finalizer of SplitMix64: a bijection, so no two words are equal.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
