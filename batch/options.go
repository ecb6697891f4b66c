package batch

import (
	"context"
	"slices"
	"time"

	"github.com/dlmanager/dlmanager"
)

// Option sets up [One], [Swarm], [Each] and [Job.Run].
type Option func(*config)

// defaultWindow lets a host with some hundred links in a row wait without the next
// host waiting for it. Each link in hand costs some KiB of memory.
const defaultWindow = 1024

type config struct {
	naming Naming
	window int
	drain  time.Duration
	abort  context.Context
	opts   []dlmanager.DownloadOption
	then   func(context.Context, Link, *dlmanager.Download) error
	atOnce bool
}

func newConfig(opts []Option) config {
	c := config{naming: Tree, window: defaultWindow, abort: context.Background()}
	for _, o := range opts {
		o(&c)
	}
	return c
}

// WithNaming sets how links without a name are named. Default: [Tree]. A [Job] has
// its own; see [WithJobNaming].
func WithNaming(n Naming) Option { return func(c *config) { c.naming = n } }

// WithWindow sets how many items are in hand at most: taken from the sequence, and
// their outcomes not given out yet. More than run at once are taken only when those
// who wait are held back by their hosts, or by [Swarm]'s order. Default and
// anything below 1: 1024.
func WithWindow(n int) Option {
	return func(c *config) {
		c.window = n
		if n < 1 {
			c.window = defaultWindow
		}
	}
}

// WithDrain sets how long downloads that are under way when the context ends may
// take to come to their end. Then they are interrupted, and go on from there the
// next time; those that only wait for their turn are at once. Default: 0.
func WithDrain(d time.Duration) Option { return func(c *config) { c.drain = d } }

// WithAbort sets a second context, whose end cuts the time of [WithDrain] short.
func WithAbort(ctx context.Context) Option { return func(c *config) { c.abort = ctx } }

// atOnce lets outcomes wait neither for each other nor, but for a few, for the
// loop's body.
func atOnce(c *config) { c.atOnce = true }

// WithDownload adds options for all downloads, beside the manager's.
func WithDownload(opts ...dlmanager.DownloadOption) Option {
	return func(c *config) { c.opts = append(slices.Clip(c.opts), opts...) }
}

// WithThen sets a function that is called when a file is there, before its outcome
// is given out: to copy it somewhere else, say, before it may be evicted. It is
// called for several downloads at a time; each keeps its item in hand meanwhile. An
// error makes the item a failed one. The context ends when the downloads are
// interrupted.
func WithThen(fn func(context.Context, Link, *dlmanager.Download) error) Option {
	return func(c *config) { c.then = fn }
}
