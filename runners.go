package dlmanager

import (
	"sync"
	"sync/atomic"
)

// runners are the goroutines of a manager's downloads. Some that are done wait for
// the next download: a new one would begin with a small stack, and to make that large
// takes as long as to look whether a file is there.
type runners struct {
	most int32          // that wait
	next chan *Download // for one that waits; closed in the end
	idle atomic.Int32   // that wait
	all  sync.WaitGroup
}

// mostIdle bounds how many wait, each with some 16 KiB of stack.
const mostIdle = 16

func newRunners(most int) *runners {
	return &runners{most: int32(min(most, mostIdle)), next: make(chan *Download)}
}

// start runs the download. It does not wait.
func (r *runners) start(d *Download) {
	select {
	case r.next <- d:
	default:
		r.all.Add(1)
		go r.run(d)
	}
}

func (r *runners) run(d *Download) {
	defer r.all.Done() // also when a callback ends the goroutine
	for d != nil {
		d.live()
		d = r.await()
	}
}

// await waits for another download; nil: there is none to wait for.
func (r *runners) await() *Download {
	defer r.idle.Add(-1)
	if r.idle.Add(1) > r.most {
		return nil
	}
	return <-r.next
}

// stop waits until all have ended. Nothing may be started any more.
func (r *runners) stop() {
	close(r.next)
	r.all.Wait()
}
