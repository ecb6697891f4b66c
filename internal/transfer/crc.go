package transfer

import "sync"

// The CRC of two pieces follows from their CRCs and the second one's length, so
// that a file that came in parts need not be read again: to append n zero bytes is
// a linear map over GF(2), and the map for n is made of those for powers of two
// (as zlib's crc32_combine does for its polynomial).

// polynomial is Castagnoli's, its bits reversed (RFC 3720).
const polynomial = 0x82f63b78

// bitMatrix maps a CRC to another one: column i is what bit i becomes.
type bitMatrix [32]uint32

func (m *bitMatrix) times(v uint32) (sum uint32) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}

func (m *bitMatrix) squared() (square bitMatrix) {
	for i := range m {
		square[i] = m.times(m[i])
	}
	return square
}

// zeroBytes are the maps for 1, 2, 4, … zero bytes: 63 of them, for any length.
var zeroBytes = sync.OnceValue(newZeroBytes)

func newZeroBytes() *[63]bitMatrix {
	var maps [63]bitMatrix
	bit := bitMatrix{0: polynomial} // the map for one zero bit
	for i := 1; i < 32; i++ {
		bit[i] = 1 << (i - 1)
	}
	m := bit
	for range 3 { // eight bits
		m = m.squared()
	}
	for i := range maps {
		maps[i] = m
		m = m.squared()
	}
	return &maps
}

// combineCRC returns the CRC of two pieces, the second one n bytes long.
func combineCRC(first, second uint32, n int64) uint32 {
	maps := zeroBytes()
	for i := 0; n != 0; i, n = i+1, n>>1 {
		if n&1 != 0 {
			first = maps[i].times(first)
		}
	}
	return first ^ second
}
