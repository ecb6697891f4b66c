package main

import (
	"hash/maphash"
	"strconv"
	"sync"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/batch"
)

// evictions counts the files of a batch that were evicted before it was over. It knows
// them by hashes of their paths, so that a million links do not take the memory of
// a million paths; that two are equal is one chance in thirty million then, and a
// count that is wrong by one.
type evictions struct {
	mu     sync.Mutex // guards all below
	seed   maphash.Seed
	early  []uint64            // landed before anything was evicted, which seldom is: a list costs less than a map
	landed map[uint64]struct{} // all that did; nil: nothing was evicted yet
	gone   map[uint64]struct{} // evicted before it was heard that they had landed, or not of the batch
	count  int
	saved  int // of count, in the job
}

func newEvictions() *evictions {
	return &evictions{seed: maphash.MakeSeed(), gone: map[uint64]struct{}{}}
}

func (e *evictions) land(path string) {
	h := maphash.String(e.seed, path)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.landed == nil {
		e.early = append(e.early, h)
		return
	}
	e.pair(h, e.gone, e.landed)
}

func (e *evictions) evict(f dlmanager.Removed) {
	h := maphash.String(e.seed, f.Path)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.landed == nil {
		e.landed = make(map[uint64]struct{}, len(e.early))
		for _, h := range e.early {
			e.landed[h] = struct{}{}
		}
		e.early = nil
	}
	e.pair(h, e.landed, e.gone)
}

// pair counts a file that the other side has, and else keeps it for that. It needs mu.
func (e *evictions) pair(h uint64, others, own map[uint64]struct{}) {
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

// evictedKey is the value of a job that counts the files that were evicted, as all
// is not there then.
const evictedKey = "evicted"

// load takes up the count of the runs before.
func (e *evictions) load(j *batch.Job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count, _ = strconv.Atoi(string(j.Values()[evictedKey])) // it is ours: a number, or nothing
	e.saved = e.count
}

// save writes the count down if it has grown: from none at once, and else, unless all
// is over, now and then, since it is only said how many there were.
func (e *evictions) save(j *batch.Job, over bool) error {
	const nowAndThen = 100
	e.mu.Lock()
	count, saved := e.count, e.saved
	if count == saved || saved > 0 && count < saved+nowAndThen && !over {
		e.mu.Unlock()
		return nil
	}
	e.saved = count
	e.mu.Unlock()
	return j.SetValue(evictedKey, strconv.AppendInt(nil, int64(count), 10))
}
