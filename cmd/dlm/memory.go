package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// A small heap may become four times as large before it is collected: for some ten
// MiB, a batch of small files takes a twentieth less time. A large one is not, which
// is what a list of a million links needs.
const (
	smallHeap    = 16 << 20 // bytes that are in use
	smallPercent = 300
	largePercent = 100 // Go's own
)

// tuneMemory decides anew after each collection how large the heap may become. It
// leaves that to GOGC, if somebody has set it.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(smallPercent)
		retuneAfter(smallPercent)
	}
}

// retuneAfter waits for the next collection, by what is going to be collected.
func retuneAfter(percent int) {
	type sentinel struct{ _ [32]byte } // large enough to be collected by itself
	runtime.AddCleanup(new(sentinel), func(before int) {
		percent := percentFor(heapInUse())
		if percent != before { // which stops the world
			debug.SetGCPercent(percent)
		}
		retuneAfter(percent)
	}, percent)
}

func percentFor(inUse uint64) int {
	if inUse < smallHeap {
		return smallPercent
	}
	return largePercent
}

// heapInUse returns what the latest collection has left, in bytes.
func heapInUse() uint64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return live[0].Value.Uint64()
}
