package dlmanager

import "time"

// AgeOption is what WithMaxAge returns.
type AgeOption struct{ age time.Duration }

func (o AgeOption) applyManager(c *managerConfig) { c.maxAge = o.age }
func (o AgeOption) applyLimit(c *limitConfig)     { c.maxAge = o.age }

// WithMaxAge evicts what was not used for longer than d, whatever the size limit
// says, except the newest files (see WithFileLimit) and what is in use. A manager
// looks for such files when it opens the directory and from time to time after
// that: every d/16, but not more often than once a minute, and at least once an
// hour, all processes together. 0 or less, the default: age alone evicts nothing.
func WithMaxAge(d time.Duration) AgeOption { return AgeOption{d} }

// FreeOption is what WithMinFree returns.
type FreeOption struct{ bytes int64 }

func (o FreeOption) applyManager(c *managerConfig) { c.minFree = o.bytes }
func (o FreeOption) applyLimit(c *limitConfig)     { c.minFree = o.bytes }

// WithMinFree evicts, beside what the size limit asks for, as much as keeps so
// many bytes free on the file system when a download reserves its room, as far as
// there is something to evict. What other programs take counts when the next
// download does. 0 or less, the default: any amount may be left. It means nothing
// where the file system does not tell, in memory say, and for files that are in
// no manager's directory.
func WithMinFree(bytes int64) FreeOption { return FreeOption{bytes} }
