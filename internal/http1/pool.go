package http1

import (
	"slices"
	"sync"
	"time"
)

// lookEvery is how often idle connections are looked at: so long may one that its
// server has closed take a descriptor. Servers that are short of connections themselves
// close them after 5 s or so.
const lookEvery = 5 * time.Second

// pool keeps the connections that are not in use.
type pool struct {
	most    int           // of an address
	timeout time.Duration // longest time in the pool. 0: for ever

	mu      sync.Mutex // guards all below
	idle    map[string][]*conn
	timer   *time.Timer // nil: nothing to look at
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
	if p.timer == nil {
		p.start()
	}
	return true
}

// look closes what has been idle for too long, and what is not quiet any more:
// the server has closed it, and nobody else would notice before the next request to
// its host. One timer looks after all, since setting one for each request would cost
// more than looking again.
func (p *pool) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for addr, idle := range p.idle {
		idle = slices.DeleteFunc(idle, func(c *conn) bool {
			over := p.timeout > 0 && now.Sub(c.since) >= p.timeout || !c.isQuiet()
			if over {
				_ = c.Close()
			}
			return over
		})
		if p.idle[addr] = idle; len(idle) == 0 {
			delete(p.idle, addr)
		}
	}
	p.timer = nil
	if len(p.idle) > 0 {
		p.start()
	}
}

// start sets the timer. It needs mu.
func (p *pool) start() {
	wait := lookEvery
	if p.timeout > 0 {
		wait = min(wait, p.timeout)
	}
	p.timer = time.AfterFunc(wait, p.look)
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
