package dlmanager

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// briefly is a stall time-out where the stall is the subject.
var briefly = WithStallTimeout(100 * time.Millisecond)

func TestServerIsSilent(t *testing.T) {
	t.Parallel() // it waits for time-outs
	for name, c := range map[string]struct {
		opt  testorigin.Option
		rest string // what is asked for after it
	}{
		"before the headers": {testorigin.Silent(), ""},
		"after the headers":  {testorigin.SilentAfter(0), ""},
		"within the body":    {testorigin.SilentAfter(half), `bytes=400- if "v1"`},
		"before the end":     {testorigin.SilentAfter(small - 1), `bytes=999- if "v1"`},
		"before the last chunk": {
			testorigin.All(testorigin.NoLength(), testorigin.SilentAfter(small)), `bytes=1000- if "v1"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			url := o.ServeSize("/once", small, tagged, testorigin.Sequence(c.opt, testorigin.OK()))
			at, gained := int64(0), false
			fetchWhole(t, contentOf(small), url, briefly,
				WithProgress(func(_ *Download, current, _ int64) { at = current }),
				WithHooks(Hooks{Retrying: func(*Download, Attempt, time.Duration) { gained = gained || at > 0 }}))
			all := asked(t, o, "/once")
			require.GreaterOrEqual(t, len(all), 2)
			assert.Empty(t, all[0])
			if gained { // else a slow machine was silent before that
				assert.Contains(t, all[1:], c.rest)
			}
			for _, one := range all {
				assert.Contains(t, []string{"", c.rest}, one)
			}

			retries := 0
			err := fetchInVain(t, o.ServeSize("/always", small, c.opt), briefly,
				WithHooks(Hooks{Retrying: func(*Download, Attempt, time.Duration) { retries++ }}))
			require.ErrorIs(t, err, ErrStalled)
			assert.True(t, IsTemporary(err))
			assert.Equal(t, 2, retries)
			for _, asked := range asked(t, o, "/always") { // the server may not even have seen one yet
				assert.Empty(t, asked)
			}
		})
	}
}

func TestServerIsSilentOnOneOfSeveralConnections(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 8*mib, tagged, testorigin.Sequence(
		testorigin.GateAfter(64<<10, o.Arrived("/file", 2)), testorigin.Silent(), testorigin.OK()))
	r := fetchWhole(t, contentOf(8*mib), url, WithConnections(2), WithStallTimeout(200*time.Millisecond))
	assert.EqualValues(t, 8*mib, r.WireBytes)
	asked(t, o, "/file")
}

func TestServerDripsOneByteAtATime(t *testing.T) {
	for name, framing := range map[string]testorigin.Option{
		"length": testorigin.OK(), "chunks": testorigin.NoLength(), "close": testorigin.CloseDelimited(),
	} {
		t.Run(name, func(t *testing.T) {
			const size = 20
			o := testorigin.New(t)
			next := make(chan struct{}, 1)
			var seen []int64
			r := fetchWhole(t, contentOf(size), o.ServeSize("/file", size, framing, testorigin.Drip(1, next)),
				WithProgress(func(_ *Download, current, _ int64) {
					if current > 0 && current < size {
						next <- struct{}{} // each byte is there before the next one is sent
					}
					if len(seen) == 0 || seen[len(seen)-1] != current {
						seen = append(seen, current)
					}
				}))
			for i, n := range seen {
				assert.EqualValues(t, i, n)
			}
			assert.Len(t, seen, size+1)
			assert.Equal(t, 1, r.Attempts)
		})
	}
}

func TestServerDripsTooSlowly(t *testing.T) {
	// A byte in each stall time-out is no stall, and takes for ever: the caller's
	// patience ends it, and what the file is not is not there.
	o := testorigin.New(t)
	m := newManager(t, WithStrategy(Once{}))
	first := make(chan struct{})
	d := m.Download(o.ServeSize("/file", small, testorigin.Drip(1, nil)), "file",
		WithProgress(func(_ *Download, current, _ int64) {
			if current == 1 {
				close(first)
			}
		}))
	<-first
	d.Cancel()
	require.ErrorIs(t, d.Wait(), ErrCanceled)
	require.NoFileExists(t, d.Dest())
	retries := 0
	require.ErrorIs(t, fetchInVain(t, o.ServeSize("/stalls", small, testorigin.Drip(1, nil)), briefly,
		WithHooks(Hooks{Retrying: func(*Download, Attempt, time.Duration) { retries++ }})), ErrStalled)
	assert.Equal(t, 2, retries)
}
