package batch

import (
	"iter"

	"github.com/dlmanager/dlmanager"
)

// Link is one file to fetch.
type Link struct {
	URL      string   `json:"url"`
	Name     string   `json:"name,omitempty"`     // in the cache; "": what the [Naming] makes of the URL
	Checksum string   `json:"checksum,omitempty"` // see [dlmanager.WithChecksum]; "": none
	Mirrors  []string `json:"mirrors,omitempty"`  // see [dlmanager.WithMirrors]
	Priority int      `json:"priority,omitempty"` // see [dlmanager.WithPriority]
	Line     int      `json:"-"`                  // in its [LinkList], from 1; 0: in none
}

// Item is a link, and the caller's own value, which comes back with the outcome.
type Item[T any] struct {
	Link
	Value T
}

// Links returns items whose values are their URLs.
func Links(urls ...string) iter.Seq[Item[string]] {
	return func(yield func(Item[string]) bool) {
		for _, url := range urls {
			if !yield(Item[string]{Link{URL: url}, url}) {
				return
			}
		}
	}
}

// State says how far an item came.
type State int

const (
	Initialised State = iota // it was stopped before a request was made
	Attempted                // requests were made, and it was stopped
	CacheHit                 // the file was there, or another process has fetched it
	Written                  // the file was fetched
	Failed                   // there is no file, or [WithThen]'s function failed; Err says why
)

func (s State) String() string {
	return [...]string{"initialised", "attempted", "cache hit", "written", "failed"}[s]
}

// Outcome is how an item ended.
type Outcome[T any] struct {
	Item[T]
	State    State
	Attempts int    // requests made; see [dlmanager.Result]
	Path     string // of the file, when it is there
	Status   int    // of the answer that refused it, 404 say; 0: no answer did
	Bytes    int64  // size of the file
	Err      error  // why it is not there; of one that was stopped, the reason for that
	Result   dlmanager.Result
}

// There reports whether the file is there.
func (o *Outcome[T]) There() bool { return o.State == CacheHit || o.State == Written }
