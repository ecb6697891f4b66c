package dlmanager

import (
	"errors"
	"time"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/transfer"
)

// Freshness says how old a file that is there may be, counted from when it was
// fetched or its origin last said that it is still the current version (RFC 9111,
// section 4.2). The zero value is any age: what is there is used, and nobody is
// asked.
type Freshness struct {
	bounded bool
	maxAge  time.Duration
}

// FreshFor is the Freshness of what is less than d old. 0 and less: the origin is
// always asked.
func FreshFor(d time.Duration) Freshness { return Freshness{bounded: true, maxAge: max(d, 0)} }

// WithFreshness sets how old a file that is there may be. For one that is older
// its origin is asked whether it is still the current version: that costs a request
// and no body if it is, and else brings the new one, which replaces the old when it
// is whole. While the origin cannot be asked, the download fails, unless
// WithStaleIfError is given, too; the old file stays. Default: any age.
//
// A file that has the digest of WithChecksum is the right one whatever its age; with
// the URL of a checksum file it is that which is asked for again.
func WithFreshness(f Freshness) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.fresh = f })
}

// WithStaleIfError uses the file that is there, whatever its age, when its origin
// cannot be reached or answers with 5xx (RFC 5861, section 4), at the first try.
// Result.Stale and the hook Stale say so. Without WithFreshness it means nothing.
func WithStaleIfError() DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.staleIfError = true })
}

// WithOffline makes no request: a file that is there is used whatever its age, and
// one that is not, or cannot be told to be the right one without a checksum file that
// would have to be fetched, fails with ErrNotCached.
func WithOffline() DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.offline = true })
}

// terms are those under which a file that is there is used.
type terms struct {
	fresh        Freshness
	staleIfError bool
	offline      bool
}

// serves reports whether who asks for d can have the outcome of this download as
// far as it depends on their terms. What is good for any age is good for who wants
// no other.
func (d *Download) serves(other *Download) bool {
	if d.cfg.lock != other.cfg.lock || d.cfg.lock != nil && lockKey(d.url) != lockKey(other.url) {
		return false // each URL has a line of its own
	}
	return d.cfg.terms == other.cfg.terms || !d.cfg.offline && other.cfg.terms == terms{}
}

// outdated reports whether the origin has to be asked about the file that is
// there. Whoever has asked it since the download was asked for has done so for
// this one, too. A time that lies in the future says nothing: the clock was set
// back.
func (m *DownloadManager) outdated(d *Download, e fs.Entry, known bool) bool {
	if !d.cfg.fresh.bounded || d.cfg.offline {
		return false
	}
	var last time.Time
	now := time.Now()
	for _, at := range []time.Time{e.Fetched, e.Validated} {
		if at.After(last) && !at.After(now) {
			last = at
		}
	}
	if !known || last.IsZero() {
		return true
	}
	return last.Before(d.asked) && now.Sub(last) >= d.cfg.fresh.maxAge
}

// held returns what the origin is asked about: the file that is there, if it still
// is the one that was looked at, with its validators. nil: the file is fetched.
func (l *life) held() *transfer.Held {
	if !l.asking || !l.isOldThere() || l.oldEntry.From == [16]byte{} {
		return nil
	}
	return &transfer.Held{ETag: l.oldEntry.ETag, LastModified: l.oldEntry.LastModified, From: l.oldEntry.From}
}

// isOldThere reports whether nobody has changed or removed the file whose origin
// is asked.
func (l *life) isOldThere() bool {
	if l.old == nil {
		return false
	}
	there := l.site.present(l.Download)
	return there != nil && !changed(l.old, there)
}

// unmodified → succeed, queue (the file was changed or removed meanwhile), or
// failed: the origin says that the file that is there is the current version.
func (l *life) unmodified(answer transfer.Result) step {
	if !l.isOldThere() {
		return l.replace("it was changed while its origin was asked")
	}
	entry := *l.oldEntry
	entry.Validated = time.Now()
	if answer.ETag != "" {
		entry.ETag = answer.ETag
	}
	if answer.LastModified != "" {
		entry.LastModified = answer.LastModified
	}
	l.site.record(l.Download, entry)
	l.there, l.vouched = l.old, true
	return l.accept(entry, true)
}

// mayUseOld reports whether the file that is there may be used although its origin
// could not be asked about it.
func (l *life) mayUseOld(err error) bool {
	return l.cfg.staleIfError && l.ctx.Err() == nil && isOutage(err) && l.isOldThere()
}

// isOutage reports whether it is the origin's or the network's fault that there is
// no answer: what RFC 5861, section 4, calls an error. An answer that says that
// the file is gone, or that we may not have it, is none; nor is a certificate that
// is not trusted, behind which may be somebody else.
func isOutage(err error) bool {
	if status, ok := errors.AsType[*StatusError](err); ok {
		return status.Code >= 500
	}
	_, failed := errors.AsType[*TransferError](err)
	return failed && !isCertificateError(err) && !isRefusal(err)
}

// useOld → succeed, or failed: the origin is out of reach.
func (l *life) useOld(failure error) step {
	if l.partial != nil {
		if _, err := l.leave(failure); err != nil {
			l.cfg.logger.Debug("partial file is not removed", "name", l.name, "error", err)
		}
	}
	l.cfg.logger.Warn("the origin could not be asked, the file that is there is used", "name", l.name, "error", failure)
	if hook := l.cfg.hooks.Stale; hook != nil {
		if err := guard("stale hook", func() { hook(l.Download, failure) }); err != nil {
			l.cfg.logger.Error("hook failed", "error", err)
		}
	}
	if why, err := l.lockThere(*l.oldEntry); why != "" || err != nil {
		l.finish(Result{}, errors.Join(failure, err))
		return nil
	}
	result, err := l.Download.found(*l.old, *l.oldEntry, true)
	if err != nil {
		l.finish(Result{}, err)
		return nil
	}
	result.Stale, result.WireBytes = failure, l.wire
	return l.succeed(result)
}

// notCached is the outcome of a download that would have to fetch and may not.
func (d *Download) notCached() error {
	e := &NotCachedError{Name: d.name, Offline: true}
	if d.cfg.force {
		e.why = "it is to be fetched whatever is there"
	}
	return e
}
