package http1

import (
	"slices"
	"sync"
	"time"
)

// pool keeps the connections that are not in use.
type pool struct {
	most    int           // of an address
	timeout time.Duration // longest time in the pool. 0: for ever

	mu      sync.Mutex // guards all below
	idle    map[string][]*conn
	timer   *time.Timer // nil: nothing to close
	closing bool        // nothing is taken in
}

// take returns the connection to an address that was used last, nil if there is
// none.
func (p *pool) take(addr string) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = false
	idle := p.idle[addr]
	if len(idle) == 0 {
		return nil
	}
	last := len(idle) - 1
	c := idle[last]
	idle[last] = nil
	p.idle[addr] = idle[:last]
	return c
}

// put takes a connection in, or reports that it does not.
func (p *pool) put(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle[c.addr]
	if p.closing || len(idle) >= p.most {
		return false
	}
	c.since = time.Now()
	p.idle[c.addr] = append(idle, c)
	if p.timer == nil && p.timeout > 0 {
		p.timer = time.AfterFunc(p.timeout, p.expire)
	}
	return true
}

// expire closes what has been idle for too long. One timer looks after all, since
// setting one for each request would cost more than looking again.
func (p *pool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = nil
	now := time.Now()
	next := p.timeout
	for addr, idle := range p.idle {
		old := 0
		for old < len(idle) && now.Sub(idle[old].since) >= p.timeout { // the oldest come first
			_ = idle[old].Close()
			old++
		}
		if old == len(idle) {
			delete(p.idle, addr)
			continue
		}
		next = min(next, p.timeout-now.Sub(idle[old].since))
		p.idle[addr] = slices.Delete(idle, 0, old)
	}
	if len(p.idle) > 0 {
		p.timer = time.AfterFunc(next, p.expire)
	}
}

// close closes what is idle, and takes nothing in until the next request.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = true
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	for _, idle := range p.idle {
		for _, c := range idle {
			_ = c.Close()
		}
	}
	clear(p.idle)
}
