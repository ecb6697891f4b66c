package dlmanager

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/dlmanager/dlmanager/fs"
)

// How often is looked whether somebody else is done: soon at first, since most
// files are small, and then so that twenty waiting processes cost next to nothing.
const (
	firstLook = 2 * time.Millisecond
	lastLook  = 50 * time.Millisecond
)

// await → examine (somebody else has fetched the file), queue (he has given up, or
// is frozen), or failed. Who waits leaves its place to another.
func (l *life) await() step {
	l.leavePlace()
	l.enter(StateAwaiting)
	defer l.setHolder("")
	l.claim = claim{awaited: true, before: l.site.present(l.Download)}
	spot, err := l.site.spot(l.Download)
	if err != nil {
		return l.fail(err)
	}
	partial, there, err := l.outwait(spot)
	switch {
	case errors.Is(err, fs.ErrHeld):
		l.cfg.logger.Warn("who fetches the file shows no sign of life, it is fetched a second time", "name", l.name)
		l.claim.apart = true
	case err != nil:
		return l.fail(err)
	case there != nil:
		l.joined, l.there = true, there
		return (*life).examine
	default:
		if err := l.hold(partial); err != nil {
			return l.fail(err)
		}
	}
	l.enter(StateQueued)
	return (*life).queue
}

// outwait asks for the partial file until it has it, or the file is there. It
// returns fs.ErrHeld when who holds it has shown no sign of life for the stall
// time-out.
func (l *life) outwait(spot fs.Spot) (*fs.Partial, *fs.Info, error) {
	var pulse fs.Pulse
	felt := time.Now()
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		if err := sleep(&l.ctx, pause); err != nil {
			return nil, nil, err
		}
		partial, there, err := l.claimPartial()
		if !errors.Is(err, fs.ErrHeld) {
			return partial, there, err
		}
		if p := spot.Pulse(); p != pulse {
			pulse, felt = p, time.Now()
			l.follow(p)
		}
		if l.cfg.stall > 0 && time.Since(felt) > max(l.cfg.stall, 2*beatTime) {
			return nil, nil, err
		}
	}
}

// follow shows the progress of who is waited for.
func (l *life) follow(p fs.Pulse) {
	r, ok := parseRecord([]byte(p.Note))
	if !ok {
		l.setHolder("another process")
		return
	}
	l.setHolder("process " + strconv.Itoa(r.PID))
	l.claim.same = r.Identity == hexIdentity(identity(l.url))
	var stored int64
	for _, s := range r.Ranges {
		stored += s.To - s.From
	}
	l.meter.current.Store(stored)
	l.meter.total.Store(r.Head.Total)
}

// sleep waits; the error is the context's cause.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (d *Download) setHolder(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.holder = name
}
