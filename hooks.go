package dlmanager

import (
	"fmt"
	"time"
)

// Hooks are functions to call at the events of a download's life. Each may be
// nil. They are called without a lock held, from the goroutine of the download
// (or the caller's, when there was nothing to fetch); the manager goes on only
// when they return. Finished may wait for other downloads; the others must not
// wait for any, since the one they are called for keeps its place in the queue
// meanwhile. None may close the manager or wait for all its downloads.
type Hooks struct {
	// Started is called once for each download, before anything else happens.
	Started func(*Download)
	// Finished is called once for each download when its outcome stands, also
	// when the file was there already, and before Wait returns.
	Finished func(*Download)
	// Retrying is called when a request has failed and there is going to be
	// another one, of the same URL or of a mirror, before the wait for it.
	Retrying func(d *Download, a Attempt, wait time.Duration)
	// Stale is called when a file is used although its origin should have been
	// asked about it and could not be, for the reason err; see WithStaleIfError.
	Stale func(d *Download, err error)
	// Evicted is called for each file that was removed to keep the limit.
	Evicted func(Removed)
	// LimitExceeded is called when the limit is exceeded and nothing that is
	// left may be evicted; again only after it was kept in between.
	LimitExceeded func(LimitUsage)
}

// guard calls fn and turns a panic into an error: a caller's mistake fails its
// download, not the process.
func guard(what string, fn func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s panicked: %v", what, v)
		}
	}()
	fn()
	return nil
}
