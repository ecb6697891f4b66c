package transfer

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// team lets several lines work on one board, as long as each one more makes the
// whole faster. The first line is its caller's.
type team struct {
	ctx   context.Context // of the other lines
	board *board
	first *line
	lead  adapter

	// The goroutine of adapt alone uses these until it has ended.
	others []*line

	stop    context.CancelFunc // ends adapt
	release context.CancelFunc // of ctx
	adapted sync.WaitGroup
	lines   sync.WaitGroup

	mu   sync.Mutex // guards most, and keeps it in step with the board's running; taken before the board's
	most int        // connections that are worth trying: fewer when one was refused
}

// minShared is what has to be left of a file, in bytes, for a second connection to
// be thought of.
const minShared = 2 << 20

// begin makes t the team of a first line that has an answer.
func (t *team) begin(ctx context.Context, b *board, first *line, resp *http.Response) {
	t.board, t.first, t.most = b, first, first.req.Connections
	t.stop, t.release = func() {}, func() {}
	if b.remaining() < minShared || !first.isShareable(resp) {
		return
	}
	adapting := t.gather(ctx)
	t.lead = newAdapter()
	if first.req.Fixed {
		t.grow(first.req.Connections - 1)
	}
	t.adapted.Go(func() { t.adapt(adapting) })
}

// gather makes it possible to add lines, which end with ctx or when the board fails,
// and returns the context of adapt.
func (t *team) gather(ctx context.Context) (adapting context.Context) {
	all, cancel := context.WithCancelCause(ctx)
	t.ctx, t.release = all, func() { cancel(nil) }
	one := t.board.cancel
	t.board.cancel = func(why error) {
		one(why)
		cancel(why)
	}
	adapting, t.stop = context.WithCancel(all)
	return adapting
}

// isShareable reports whether other connections could bring parts of the file,
// and whether these can be told to be of the same version.
func (l *line) isShareable(resp *http.Response) bool {
	ranges := resp.StatusCode == http.StatusPartialContent || strings.EqualFold(resp.Header.Get("Accept-Ranges"), "bytes")
	limited := l.req.Throttle != nil && !l.req.Fixed // one connection is enough for it
	return l.req.Connections > 1 && ranges && l.have.Exact && l.have.validator() != "" && !l.muxed && !limited
}

// adapt looks again and again how many lines there should be.
func (t *team) adapt(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	begun := time.Now()
	left := t.board.remaining()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := t.board.remaining()
		moved := left - now
		left = now
		active, want := t.count()
		ready := t.areReady()
		if !t.first.req.Fixed {
			want = t.lead.look(time.Since(begun), moved, left, active, ready, want)
		}
		if c := t.first.req.Company; active > 1 && c != nil {
			if crowded := c.Crowded(); crowded > 0 {
				want = min(want, max(1, active-crowded))
			}
		}
		switch {
		case want > active:
			if t.grow(want-active) == 0 {
				t.lead.abandon(time.Since(begun))
			}
		case want < active:
			t.shrink(active - want)
		}
	}
}

// areReady reports whether all lines have received something.
func (t *team) areReady() bool {
	for _, l := range t.others {
		if !l.heard.Load() && !l.leave.Load() {
			return false
		}
	}
	return true
}

// count returns how many lines are at work, and how many are worth trying.
func (t *team) count() (active, most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.addRunning(0), t.most
}

// addRunning changes how many lines are at work, and returns how many there are then.
func (t *team) addRunning(by int) int {
	t.board.mu.Lock()
	defer t.board.mu.Unlock()
	t.board.running += by
	return t.board.running
}

// grow adds so many lines, or fewer if there is nothing for one more. It returns how
// many it has added.
func (t *team) grow(by int) (added int) {
	t.others = slices.DeleteFunc(t.others, func(l *line) bool { return l.over.Load() })
	for added < by && t.board.isShareable() {
		release := func() {}
		if c := t.first.req.Company; c != nil {
			var ok bool
			if release, ok = c.Connect(); !ok {
				return added
			}
		}
		if !t.add(release) {
			release()
			return added
		}
		added++
	}
	return added
}

// add starts a line that takes part.
func (t *team) add(release func()) bool {
	first := t.first
	w := newWatch(t.ctx, first.req.Stall)
	l := &line{board: t.board, fetch: &fetch{
		req: first.req, watch: w, plain: first.plain, direct: first.direct, directPrivate: first.directPrivate, wantsBody: true,
	}}
	if l.part = t.board.take(l); l.part == nil {
		w.stop()
		return false
	}
	t.addRunning(+1)
	t.others = append(t.others, l)
	t.lines.Go(func() {
		defer release()
		defer w.stop()
		err := l.run(nil)
		refusal, refused := errors.AsType[*StatusError](err)
		if c := first.req.Company; refused && c != nil {
			c.Refused(refusal)
		}
		if l.leave.Swap(true) && !refused && !errors.Is(err, errChanged) { // nobody waits for its first byte
			err = errLeft
		}
		t.ended(err)
		l.over.Store(true)
	})
	return true
}

// ended takes in how a line has ended.
func (t *team) ended(err error) {
	changed := errors.Is(err, errChanged)
	if changed {
		t.board.fail(errChanged)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	left := t.addRunning(-1)
	if err != nil && !changed && !errors.Is(err, errLeft) {
		t.most = max(1, min(t.most, left)) // the server does not want more, or the line is bad
	}
}

// shrink gives up the lines that came last.
func (t *team) shrink(by int) {
	for i := len(t.others) - 1; i >= 0 && by > 0; i-- {
		if l := t.others[i]; !l.leave.Swap(true) {
			l.watch.End(errLeft) // it may be waiting for bytes
			by--
		}
	}
}

// end waits for the other lines when the first has ended with err.
func (t *team) end(err error) {
	t.ended(err)
	t.stop()
	t.adapted.Wait() // first: it adds lines
	t.lines.Wait()
	t.release()
}
