package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOnlyASmallHeapMayBecomeMuchLarger(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(largePercent)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	isAt := func(want uint64) func() bool {
		return func() bool {
			runtime.GC()
			percent := []metrics.Sample{{Name: "/gc/gogc:percent"}}
			metrics.Read(percent)
			return percent[0].Value.Uint64() == want
		}
	}
	large := make([]byte, 4*smallHeap)
	tuneMemory()
	require.Eventually(t, isAt(largePercent), time.Minute, time.Millisecond)
	runtime.KeepAlive(large)
	require.Eventually(t, isAt(smallPercent), time.Minute, time.Millisecond)
}

func TestGOGCCounts(t *testing.T) {
	t.Setenv("GOGC", "50")
	before := debug.SetGCPercent(50)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	tuneMemory()
	require.Equal(t, 50, debug.SetGCPercent(50))
}
