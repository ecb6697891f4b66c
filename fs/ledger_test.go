package fs

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func someLedger() ledger {
	return ledger{
		changes: 9, counted: 1, files: 2, bytes: 300, added: 500, landed: 4, removed: 200, limits: 7,
		claims: []claimed{{id: 1 << 63, reserved: 10, waiting: 5}, {id: 2, huge: 1000}},
	}
}

func TestLedgerIsReadAsItWasWritten(t *testing.T) {
	want := someLedger()
	got, ok := decodeLedger(append(want.encode(nil), "what a longer one has left"...))
	require.True(t, ok)
	assert.Equal(t, want, got)
	u := got.usage()
	assert.EqualValues(t, 1310, u.All())
	assert.EqualValues(t, 5, u.Waiting)
}

func TestLedgersThatCannotBeAreNone(t *testing.T) {
	for name, change := range map[string]func(*ledger){
		"negative bytes":   func(l *ledger) { l.bytes = -1 },
		"negative claim":   func(l *ledger) { l.claims[0].reserved = -1 },
		"more than a disk": func(l *ledger) { l.bytes = mostBytes + 1 },
		"a sum too large":  func(l *ledger) { l.bytes, l.claims[0].reserved = mostBytes, 1 },
		"overflow":         func(l *ledger) { l.claims[0].huge, l.claims[1].huge = mostBytes, mostBytes },
	} {
		t.Run(name, func(t *testing.T) {
			l := someLedger()
			change(&l)
			_, ok := decodeLedger(l.encode(nil))
			assert.False(t, ok)
		})
	}
	l := someLedger()
	text := l.encode(nil)
	for i := range text {
		torn := bytes.Clone(text)
		torn[i] ^= 0x40
		_, ok := decodeLedger(torn)
		require.False(t, ok, "byte %d", i)
		_, ok = decodeLedger(text[:i])
		require.False(t, ok, "%d bytes", i)
	}
}

func TestLedgerAdds(t *testing.T) {
	for name, tt := range map[string]struct {
		files, bytes int64
		want         ledger
	}{
		"landed":              {1, 5, ledger{counted: 1, files: 3, bytes: 15, added: 5, landed: 1}},
		"removed":             {-1, -5, ledger{counted: 1, files: 1, bytes: 5, removed: 5}},
		"a larger version":    {0, 5, ledger{counted: 1, files: 2, bytes: 15, added: 5}},
		"more than there was": {-1, -11, ledger{files: 1, removed: 11}},
		"more files":          {-3, -1, ledger{bytes: 9, removed: 1}},
		"more than a disk":    {0, mostBytes, ledger{files: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			l := ledger{counted: 1, files: 2, bytes: 10}
			l.add(tt.files, tt.bytes)
			assert.Equal(t, tt.want, l)
		})
	}
}

func TestLedgerIsCorrected(t *testing.T) {
	begun := ledger{counted: 1, files: 10, bytes: 100, added: 1000, landed: 50, removed: 900}
	for name, tt := range map[string]struct {
		added, removed, bytes int64 // meanwhile, and the count then
		unknown               bool
		seen, want            int64
	}{
		"right":                         {0, 0, 100, false, 100, 100},
		"too low":                       {0, 0, 90, false, 100, 100},
		"too high":                      {0, 0, 110, false, 100, 100},
		"added, and seen":               {20, 0, 120, false, 120, 120},
		"added, and not seen":           {20, 0, 120, false, 100, 120},
		"removed, and still seen":       {0, 20, 80, false, 100, 80},
		"removed, and not seen":         {0, 20, 80, false, 80, 80},
		"more than was added":           {20, 0, 121, false, 100, 120},
		"less than what was removed":    {0, 20, 79, false, 100, 100},
		"never counted":                 {20, 0, 20, true, 100, 120},
		"never counted, but it adds up": {20, 0, 110, true, 100, 120},
	} {
		t.Run(name, func(t *testing.T) {
			l := begun
			l.added, l.removed, l.bytes = l.added+tt.added, l.removed+tt.removed, tt.bytes
			if tt.unknown {
				l.counted = 0
			}
			l.correct(begun, 10, tt.seen)
			assert.Equal(t, tt.want, l.bytes)
		})
	}
	l := begun
	l.claims = []claimed{{id: 1, reserved: 15}, {id: 2, huge: 5}}
	l.correct(begun, 10, 120)
	assert.EqualValues(t, 100, l.bytes, "it has landed, and counts as reserved")
	l.correct(begun, 11, 100)
	assert.EqualValues(t, 10, l.files, "it is going to be counted")
	l.correct(begun, 10, 121)
	assert.EqualValues(t, 121, l.bytes)

	l = begun
	l.correct(begun, 11, 100)
	assert.EqualValues(t, 11, l.files)
}

func TestAClaimOfNothingTakesNoPlace(t *testing.T) {
	var l ledger
	l.put(claimed{id: 1})
	assert.Empty(t, l.claims)
	l.put(claimed{id: 1, reserved: 5})
	l.put(claimed{id: 2, huge: 5})
	l.put(claimed{id: 1, reserved: 6, waiting: 1})
	assert.Equal(t, []claimed{{id: 1, reserved: 6, waiting: 1}, {id: 2, huge: 5}}, l.claims)
	l.absorb(l.claims[1])
	l.put(claimed{id: 1, waiting: 1})
	assert.Empty(t, l.claims)
	assert.EqualValues(t, 5, l.bytes)
}

func FuzzLedger(f *testing.F) {
	l := someLedger()
	f.Add(l.encode(nil))
	f.Add([]byte(ledgerMagic))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, ok := decodeLedger(text)
		if !ok {
			return
		}
		require.GreaterOrEqual(t, l.usage().All(), int64(0))
		again, ok := decodeLedger(l.encode(nil))
		require.True(t, ok)
		require.Equal(t, l, again)
		l.add(1, mostBytes)
		l.add(-1, -mostBytes)
		_, ok = decodeLedger(l.encode(nil))
		require.True(t, ok, "what is written can be read")
	})
}
