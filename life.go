package dlmanager

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/digest"
	"github.com/dlmanager/dlmanager/internal/ending"
	"github.com/dlmanager/dlmanager/internal/netrc"
	"github.com/dlmanager/dlmanager/internal/transfer"
)

// step is one state of a download's life; it returns the next one, nil at the end.
type step func(*life) step

// life is what a running download holds. Only its goroutine uses it.
type life struct {
	*Download
	ctx     ending.Context
	started time.Time

	release  func() // gives back the place in the queue
	partial  *fs.Partial
	size     atomic.Int64 // of the partial file
	kept     kept         // what an earlier download had left in it
	recorder *recorder
	room     *room // what is reserved in the directory
	fetched  transfer.Result
	wire     int64 // bytes that came
	tries    Attempt
	wait     time.Duration // before the next request
	claim    claim
	client   *http.Client
	logins   *netrc.File // nil: not read yet
	idle     func()      // gives up its connections, unless others use it

	there        *fs.Info // the file that is there already
	afterResolve step
	digests      *digest.Stream     // nil: none are computed on the way
	digested     []digest.Algorithm // its
	sums         []digest.Digest    // of the whole
	pieced       bool               // what is stored came with several requests
	shared       bool               // it came over several connections
	lone         bool               // the server does not stand that
	restarted    bool               // because they did not fit
	whole        bool               // all has come
	sender       int                // which source sent what is stored
	expiredOnce  bool               // and nothing has come since
	passed       []error            // why the sources before were given up
	sumsAsks     int                // which source of the checksum file is asked
	throttle     *throttle          // of this download alone

	old      *fs.Info  // the file that its origin is asked about
	oldEntry *fs.Entry // what is known of it
	vouched  bool      // it is still current

	freed   bool  // files were evicted once because the disk is full
	joined  bool  // another process has fetched the file
	resumed int64 // bytes of what an earlier download had left that count

	failure error
}

// live runs the download from its start to its outcome.
func (d *Download) live() {
	l := &life{Download: d, started: time.Now(), release: func() {}, idle: func() {}}
	defer l.ctx.End(nil)
	d.mu.Lock()
	d.abort = &l.ctx
	stop := d.stop
	d.mu.Unlock()
	if stop != nil {
		l.ctx.End(stop) // it was asked to end before it began
	}
	defer d.finishAnyway()
	defer l.giveBack()
	for next := step((*life).begin); next != nil; {
		next = next(l)
	}
}

// begin → queue, or failed.
func (l *life) begin() step {
	if err := l.announce(); err != nil {
		return l.fail(err)
	}
	if l.url == nil { // its manager has not done it
		if err := l.parse(); err != nil {
			return l.fail(err)
		}
	}
	l.throttle = newThrottle(l.cfg.rate)
	l.client, l.idle = l.openClient()
	return (*life).queue
}

// announce calls the started hook.
func (d *Download) announce() error {
	if d.cfg.hooks.Started == nil {
		return nil
	}
	return guard("started hook", func() { d.cfg.hooks.Started(d) })
}

// queue → resolve, create, transfer (when it is not the first time), examine
// (somebody else has fetched it), or failed.
func (l *life) queue() step {
	l.leavePlace()
	release, there, err := l.site.admit(&l.ctx, l.Download)
	if err != nil {
		return l.fail(err)
	}
	if there != nil {
		l.there = there
		return (*life).examine
	}
	l.release = release
	if l.cfg.offline {
		return l.fail(l.notCached())
	}
	l.room.wake()
	switch {
	case l.unresolved((*life).begun):
		return (*life).resolve
	default:
		return (*life).begun
	}
}

// begun → create, or transfer when it is not the first time, or verify when all
// is there.
func (l *life) begun() step {
	switch {
	case l.partial == nil:
		return (*life).create
	case l.whole:
		return (*life).verify
	}
	return (*life).transfer
}

// leavePlace gives back the place in the queue, if it has one.
func (l *life) leavePlace() {
	l.release()
	l.release = func() {}
}

// found reports a file that is there to the observers. e is what is known of it.
func (d *Download) found(info fs.Info, e fs.Entry, known bool) (Result, error) {
	if !known {
		e = fs.Entry{} // of another file
	}
	d.measure(info)
	result := Result{Origin: OriginCached, Bytes: info.Size, Verified: !e.Unproven || d.checked()}
	result.CRC32C, result.ETag, result.LastModified = e.CRC32C, e.ETag, e.LastModified
	result.Digest = firstDigest(e.Digests)
	return result, d.observers.notify(d, info.Size, info.Size)
}

// measure takes in what is there.
func (d *Download) measure(info fs.Info) {
	d.meter.total.Store(info.Size)
	d.meter.current.Store(info.Size)
	d.setModTime(info.ModTime)
}

// create → transfer, await (somebody else fetches the file), examine, or failed.
func (l *life) create() step {
	growStack(0) // not before: thousands may wait in the queue
	partial, there, err := l.claimPartial()
	switch {
	case errors.Is(err, fs.ErrHeld):
		return (*life).await
	case err != nil && l.freesDisk(err):
		return (*life).create
	case err != nil:
		return l.fail(err)
	case there != nil:
		l.there = there
		return (*life).examine
	}
	if err := l.hold(partial); err != nil {
		return l.fail(err)
	}
	return (*life).transfer
}

// claimPartial asks for the partial file.
func (l *life) claimPartial() (*fs.Partial, *fs.Info, error) {
	l.kept = kept{}
	l.claim.accept = func(note []byte, size int64) bool {
		r, ok := parseRecord(note)
		if !ok || l.cfg.noResume || r.Mode != l.cfg.mode {
			return false
		}
		l.kept, ok = r.keptOf(size, fs.BootID())
		return ok
	}
	return l.site.create(&l.ctx, l.Download, l.claim)
}

// hold takes over a partial file, with what can be gone on from.
func (l *life) hold(partial *fs.Partial) error {
	if !partial.Adopted() {
		l.kept = kept{}
	}
	if l.kept.unproven {
		l.kept.result = l.provenOf(partial)
	}
	if l.ctx.Err() != nil { // what is kept stays as it is
		err := errors.Join(context.Cause(&l.ctx), partial.Keep())
		l.site.left(l.Download)
		return err
	}
	l.partial = partial
	l.recorder = newRecorder(l)
	l.size.Store(l.kept.size)
	l.fetched, l.resumed = l.kept.result, l.kept.result.N
	if l.fetched.N == 0 {
		return nil
	}
	if err := l.reserve(l.kept.size); err != nil {
		return err
	}
	return l.recorder.begin(l.fetched, l.wholeSize(l.fetched.Head), true)
}

// provenOf returns what the partial file really holds of what its record says:
// after a tidy restart all of it, after a power loss perhaps what was flushed.
func (l *life) provenOf(partial *fs.Partial) transfer.Result {
	for _, claimed := range []transfer.Result{l.kept.result, l.kept.result.WithRanges(l.kept.synced)} {
		if claimed.N > 0 && l.proves(partial, claimed) {
			return claimed
		}
	}
	return transfer.Result{}
}

// proves reports whether the partial file holds what is claimed.
func (l *life) proves(partial *fs.Partial, r transfer.Result) bool {
	buf := make([]byte, 1<<20)
	for _, part := range r.Stored() {
		sum := crc32.New(castagnoli)
		content := io.NewSectionReader(partial, part.From, part.To-part.From)
		if _, err := io.CopyBuffer(sum, &interruptible{&l.ctx, content}, buf); err != nil || sum.Sum32() != part.CRC32C {
			return false
		}
	}
	return true
}

// transfer → verify, unmodified, reconsider, or failed.
func (l *life) transfer() step {
	l.enter(StateTransferring)
	l.whole = false
	if err := l.checkPartial(); err != nil {
		return l.fail(err)
	}
	req, err := l.request(l.source())
	if err != nil {
		return l.fail(err)
	}
	l.followDigests()
	l.countAttempt()
	l.setConnections(&req)
	req.Digested = l.currentCheck() != nil
	if l.fetched.N > 0 && (req.Digested || l.sender == l.asks) { // validators do not carry across hosts
		before := l.fetched
		req.After = &before
	}
	if l.digests != nil {
		req.Tap = l.digests
	}
	req.Held = l.held()
	result, err := transfer.Fetch(&l.ctx, req, l)
	if errors.Is(err, transfer.ErrUnmodified) {
		return l.unmodified(result)
	}
	if err != nil {
		return l.reconsider(fromTransfer(err)) // Start and Stored have noted what is there
	}
	l.fetched, l.whole = result, true
	return (*life).verify
}

// errChanged is the outcome when somebody else has written to the partial file.
var errChanged = errors.New("somebody changed the partial file while it was being written")

// checkPartial begins anew if the partial file is not what was stored: it may
// have lain there for a while.
func (l *life) checkPartial() error {
	if l.size.Load() == 0 && !l.partial.Adopted() {
		return nil // nothing is stored in it
	}
	size, _, err := l.partial.Stat()
	if err != nil || size == l.size.Load() {
		return err
	}
	l.size.Store(size)
	return l.restart()
}

// reconsider → pause, queue (for another source), transfer (a signed URL anew), or failed.
func (l *life) reconsider(err error) step {
	if l.freesDisk(err) {
		return (*life).transfer
	}
	if l.refusesCompany(err) {
		return l.retry(err, jitter(firstWait), true)
	}
	if l.expired(err) {
		return (*life).transfer
	}
	wait, again := l.strategyOn(err)
	if l.fetched.N == 0 && !l.standsIn() && l.mayUseOld(err) {
		return l.fail(err)
	}
	if l.nextSource(err, again) {
		l.cfg.logger.Warn("source given up, the next one is tried", "name", l.name, "error", err, "source", transfer.Redact(l.source()))
		l.tries.Err = err
		if err := l.announceRetry(0); err != nil {
			return l.fail(err)
		}
		l.enter(StateQueued) // for its host
		return (*life).queue
	}
	if !again {
		err = l.withPassed(err)
	}
	return l.retry(err, wait, again)
}

// announceRetry calls the retrying hook.
func (l *life) announceRetry(wait time.Duration) error {
	hook := l.cfg.hooks.Retrying
	if hook == nil {
		return nil
	}
	return guard("retrying hook", func() { hook(l.Download, l.tries, wait) })
}

// retry → pause, or failed.
func (l *life) retry(err error, wait time.Duration, again bool) step {
	if !again {
		return l.fail(err)
	}
	l.cfg.logger.Warn("request failed, there will be another one", "name", l.name, "error", err, "attempt", l.tries.Number, "wait", wait)
	if err := l.announceRetry(wait); err != nil {
		return l.fail(err)
	}
	l.wait = wait
	return (*life).pause
}

// strategyOn asks the strategy what to do about err. Only the network and the
// server get another chance: a full disk or a cancelled download does not.
func (l *life) strategyOn(err error) (wait time.Duration, again bool) {
	status, refused := errors.AsType[*StatusError](err)
	if _, cut := errors.AsType[*TransferError](err); !cut && !refused {
		return 0, false
	}
	if refused && status.RetryAfter > 0 && !l.standsIn() { // else others would wait for it who may go on elsewhere
		l.site.holdOff(status.URL, time.Now().Add(status.RetryAfter))
	}
	l.tries.Number++
	l.tries.Barren++
	l.tries.Err = err
	l.tries.Gained = max(0, l.fetched.N-l.tries.Offset)
	if l.tries.Gained > 0 {
		l.tries.Offset, l.tries.Barren = l.fetched.N, 0
	}
	if guardErr := guard("strategy", func() { wait, again = l.cfg.strategy.Next(l.tries) }); guardErr != nil {
		l.cfg.logger.Error("strategy failed", "name", l.name, "error", guardErr)
		return 0, false
	}
	if refused {
		wait = max(wait, status.RetryAfter)
	}
	return wait, again
}

// pause → queue, or failed. Who waits leaves its place to another.
func (l *life) pause() step {
	l.enter(StateWaiting)
	l.room.rest()
	l.leavePlace()
	timer := time.NewTimer(l.wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		l.enter(StateQueued)
		return (*life).queue
	case <-l.ctx.Done():
		return l.fail(context.Cause(&l.ctx))
	}
}

// land → succeed, or failed. From here on the download cannot be cancelled.
func (l *life) land() step {
	l.enter(StateLanding)
	if err := l.reportEnd(); err != nil {
		return l.fail(err)
	}
	size, written, err := l.partial.Stat()
	if err == nil && size != l.fetched.N {
		err = errChanged
	}
	if err != nil {
		return l.fail(err)
	}
	if l.ctx.Err() != nil {
		return l.fail(context.Cause(&l.ctx))
	}
	modTime, err := l.settle(size, written)
	if err != nil {
		return l.fail(err)
	}
	landed := l.landing(modTime, written)
	// Before it has its name: a file of which nothing is known is fetched again.
	l.site.landing(l.Download, landed)
	if err := l.commit(); err != nil {
		return l.fail(err)
	}
	l.setModTime(modTime)
	landed.room, landed.replaced = l.room, l.partial.Replaced()
	l.site.landed(l.Download, landed)
	l.room = nil
	if l.cfg.sync == SyncDir {
		if err := l.partial.SyncName(); err != nil {
			return l.fail(err) // the file is there and whole, but that may not outlast a power loss
		}
	}
	return l.succeed(landed.result)
}

// landing is what is known of the file, which is whole.
func (l *life) landing(modTime, written time.Time) landing {
	digests := joinDigests("", l.sums)
	result := Result{
		Origin: OriginFetched, Bytes: l.fetched.N, ResumedFrom: l.resumed, WireBytes: l.wire, CRC32C: l.fetched.CRC32C,
		ETag: l.fetched.ETag, LastModified: l.fetched.LastModified, FinalURL: l.fetched.FinalURL, Source: transfer.Redact(l.source()),
		DispositionName: l.fetched.DispositionName, Verified: l.fetched.Proven || l.checked(),
		Digest: firstDigest(digests),
	}
	if l.resumed > 0 {
		result.Origin = OriginResumed
	}
	return landing{
		modTime: modTime, written: written, result: result,
		digests: digests, checkedBy: l.checkedBy(), from: l.fetched.Sender(),
	}
}

// settle makes the partial file what is to get the name, and returns its modification
// time. As long as it is being flushed, which may take a while, the record shows that
// somebody is at work.
func (l *life) settle(size int64, written time.Time) (time.Time, error) {
	modTime, err := l.site.seal(l.Download, l.partial, size, written)
	if err == nil && l.cfg.sync != SyncNone {
		err = l.partial.Sync()
	}
	return modTime, err
}

// commit gives the file its name.
func (l *life) commit() error {
	l.recorder.stop()
	if l.cfg.landed == nil {
		return l.partial.Commit(SyncNone)
	}
	l.partial.LeaseOnCommit()
	err := l.partial.Commit(SyncNone)
	if lease := l.partial.TakeLease(); err == nil && lease != nil {
		l.cfg.landed.put(lease)
	}
	return err
}

// reportEnd makes the last report (n, n), unless the last write made it.
func (l *life) reportEnd() error {
	n := l.fetched.N
	if n == l.fetched.Total && n > 0 {
		return nil
	}
	l.meter.total.Store(n)
	if n == 0 && l.fetched.Total == 0 {
		return nil // the first report was the last
	}
	return l.observers.notify(l.Download, n, n)
}
