package main

import "sync"

// allowance is a number of bytes that may be under way.
type allowance struct {
	mu   sync.Mutex // guards left
	more *sync.Cond
	left int
}

func newAllowance(n int) *allowance {
	a := &allowance{left: n}
	a.more = sync.NewCond(&a.mu)
	return a
}

// take waits until something is left and takes at most n of it.
func (a *allowance) take(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.left == 0 {
		a.more.Wait()
	}
	n = min(n, a.left)
	a.left -= n
	return n
}

func (a *allowance) give(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left += n
	a.more.Signal()
}
