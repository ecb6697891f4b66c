package transfer

import (
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func FuzzCombineCRC(f *testing.F) {
	f.Add([]byte("123456789"), 4)
	f.Add(make([]byte, 100), 99)
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		if at < 0 || at > len(text) {
			return
		}
		first, second := crc32.Checksum(text[:at], castagnoli), crc32.Checksum(text[at:], castagnoli)
		require.Equal(t, crc32.Checksum(text, castagnoli), combineCRC(first, second, int64(len(text)-at)))
	})
}

func TestRangesThatTouchAreOne(t *testing.T) {
	text := []byte("0123456789")
	of := func(from, to int64) Range {
		return Range{from, to, crc32.Checksum(text[from:to], castagnoli)}
	}
	assert.Equal(t, []Range{of(0, 5), of(7, 10)}, mergeRanges([]Range{of(0, 2), of(2, 5), of(7, 8), of(8, 10)}))
	whole := Result{}.WithRanges([]Range{of(0, 2), of(2, 9), of(9, 10)})
	assert.Equal(t, Result{N: 10, CRC32C: of(0, 10).CRC32C}, whole)
	assert.Equal(t, []Range{of(0, 10)}, whole.Stored())
	assert.Equal(t, Result{}, whole.WithRanges(nil))

	for _, c := range []struct {
		stored   []Range
		from, to int64
	}{
		{nil, 0, -1},
		{[]Range{of(0, 3)}, 3, -1},
		{[]Range{of(0, 3), of(5, 7)}, 3, 5},
		{[]Range{of(2, 3), of(5, 7)}, 0, 2},
	} {
		from, to := Result{}.WithRanges(c.stored).gap()
		assert.Equal(t, c.from, from)
		assert.Equal(t, c.to, to)
	}
}
