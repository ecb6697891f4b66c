package faultfs

import (
	"math"
	"slices"
	"strings"
	"sync/atomic"
)

// rule makes operations fail.
type rule struct {
	op    Op
	match func(name string) bool // nil: every name
	err   error
	left  atomic.Int64 // failures (of a short-write rule: bytes) still to come
	short bool
}

// FailAt makes the n-th operation from now fail (1 is the next one), whatever
// it is. A loop over n until nothing fails any more visits every step of the
// code under test.
func (f *Fs) FailAt(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at[f.steps+n] = err
}

// Fail makes every operation of this kind fail whose name match accepts (nil:
// every name), until remove is called. Names are those given to the file
// system; an open file has the name that it was opened by.
func (f *Fs) Fail(op Op, match func(name string) bool, err error) (remove func()) {
	return f.FailTimes(op, match, err, math.MaxInt)
}

// FailTimes is Fail for the first k such operations.
func (f *Fs) FailTimes(op Op, match func(name string) bool, err error, k int) (remove func()) {
	return f.add(&rule{op: op, match: match, err: err}, int64(k))
}

// ShortWrite is a disk that is full after limit more bytes: writes to the
// files that match accepts (nil: all) succeed until they have taken limit bytes
// together; the one that crosses the limit stores what fits and fails, and so
// do all after it until remove is called. Bytes count also where they replace
// others.
func (f *Fs) ShortWrite(match func(name string) bool, limit int64, err error) (remove func()) {
	return f.add(&rule{op: OpWrite, match: match, err: err, short: true}, limit)
}

func (f *Fs) add(r *rule, left int64) (remove func()) {
	r.left.Store(left)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, r)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rules = slices.DeleteFunc(f.rules, func(other *rule) bool { return other == r })
	}
}

// fault counts a step and returns the error that it is to fail with.
func (f *Fs) fault(op Op, names ...string) error {
	step, rules, err := f.count(op, names)
	if err == nil {
		err = failure(rules, op, names)
	}
	f.note(step, err)
	return err
}

// count gives a step its number and its line in the log. The rules are a copy:
// match is the test's own code, and is not called with the lock held.
func (f *Fs) count(op Op, names []string) (step int, rules []*rule, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steps++
	f.log = append(f.log, string(op)+" "+strings.Join(names, " -> "))
	err = f.at[f.steps]
	delete(f.at, f.steps)
	return f.steps, slices.Clone(f.rules), err
}

// note adds an injected error to the line of its step.
func (f *Fs) note(step int, err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log[step-1] += ": " + err.Error()
}

func failure(rules []*rule, op Op, names []string) error {
	for _, r := range rules {
		if !r.short && r.applies(op, names) && r.take(1) == 1 {
			return r.err
		}
	}
	return nil
}

func (r *rule) applies(op Op, names []string) bool {
	return r.op == op && (r.match == nil || slices.ContainsFunc(names, r.match))
}

// take returns how many of n the rule has left, and takes them.
func (r *rule) take(n int64) int64 {
	for {
		left := r.left.Load()
		got := max(0, min(n, left))
		if r.left.CompareAndSwap(left, left-got) {
			return got
		}
	}
}

// room returns how many of n bytes a write to name may store, and the error
// that it ends with when these are not all.
func (f *Fs) room(step int, rules []*rule, name string, n int) (int, error) {
	for _, r := range rules {
		if !r.short || !r.applies(OpWrite, []string{name}) {
			continue
		}
		if fits := r.take(int64(n)); fits < int64(n) {
			f.note(step, r.err)
			return int(fits), r.err
		}
	}
	return n, nil
}
