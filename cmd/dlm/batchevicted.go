package main

import (
	"hash/maphash"
	"sync"

	"github.com/dlmanager/dlmanager"
)

// evictions counts the files of a batch that were evicted while it ran. It knows
// them by hashes of their paths, so that a million links do not take the memory of
// a million paths; that two are equal is one chance in thirty million then, and a
// count that is wrong by one.
type evictions struct {
	mu     sync.Mutex // guards all below
	seed   maphash.Seed
	landed map[uint64]struct{}
	gone   map[uint64]struct{} // evicted before it was heard that they had landed, or not of the batch
	count  int
}

func newEvictions() *evictions {
	return &evictions{seed: maphash.MakeSeed(), landed: map[uint64]struct{}{}, gone: map[uint64]struct{}{}}
}

func (e *evictions) land(path string) {
	e.pair(path, e.gone, e.landed)
}

func (e *evictions) evict(f dlmanager.Removed) {
	e.pair(f.Path, e.landed, e.gone)
}

// pair counts a path that the other side has, and else keeps it for that.
func (e *evictions) pair(path string, others, own map[uint64]struct{}) {
	h := maphash.String(e.seed, path)
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, there := others[h]; there {
		delete(others, h)
		e.count++
		return
	}
	own[h] = struct{}{}
}

func (e *evictions) counted() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.count
}
