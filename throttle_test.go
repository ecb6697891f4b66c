package dlmanager

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestARateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := throttleOf(newThrottle(1<<20), nil, newThrottle(2<<20))
		begun := time.Now()
		for sent := 0; sent < 10<<20; {
			n := limit.Quantum()
			require.NoError(t, limit.Pay(t.Context(), n))
			sent += n
		}
		assert.InDelta(t, 10, time.Since(begun).Seconds(), 0.2)
	})
	assert.Nil(t, throttleOf(newThrottle(0), newThrottle(-1), nil))
}

func TestWaitingForARateEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := throttleOf(newThrottle(1))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		require.NoError(t, limit.Pay(ctx, limit.Quantum()))
		require.Error(t, limit.Pay(ctx, limit.Quantum()))
	})
}

func TestSmallFilesPayToo(t *testing.T) {
	o := testorigin.New(t)
	limit := newThrottle(1)
	d := newManager(t).Download(o.Serve("/file", make([]byte, 1000)), "file", func() DownloadOption {
		return downloadOption(func(c *downloadConfig) { c.throttle = limit })
	}())
	require.NoError(t, d.Wait())
	assert.Less(t, limit.limiter.Tokens(), float64(limit.limiter.Burst()), "what came with the end of the body counts")
}
