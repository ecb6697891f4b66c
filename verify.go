package dlmanager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/digest"
	"github.com/dlmanager/dlmanager/internal/ending"
	"github.com/dlmanager/dlmanager/internal/transfer"
)

// resolve → what needed the digest, pause, or failed. It reads the checksum
// file that the check names by URL.
func (l *life) resolve() step {
	c := l.currentCheck()
	u := c.spec.URL()
	if l.cfg.offline {
		return l.fail(&NotCachedError{Name: l.name, Offline: true, why: "the checksum file " + transfer.Redact(u) + " would have to be fetched"})
	}
	sources := l.cfg.sourcesOf(u)
	req, err := l.request(sources[l.sumsAsks].url)
	if err != nil {
		return l.fail(err)
	}
	req.MinSize, req.MaxSize, req.After = 1, digest.MaxFile, nil
	var content memory
	if _, err := transfer.Fetch(&l.ctx, req, &content); err != nil {
		err = fmt.Errorf("fetch checksum file: %w", fromTransfer(err))
		if sources[l.sumsAsks].standIn && isOfSource(err) {
			l.sumsAsks++
			l.cfg.logger.Warn("the checksum file is asked for where it comes from", "name", l.name, "error", err)
			return (*life).resolve
		}
		wait, again := l.strategyOn(err) // the file's sources are not to blame
		return l.retry(err, wait, again && !l.mayUseOld(err))
	}
	resolved := *c
	if err := resolved.resolve(content.Bytes()); err != nil {
		return l.fail(fmt.Errorf("checksum file %s: %w", transfer.Redact(u), err))
	}
	l.setCheck(&resolved)
	l.tries = Attempt{}
	return l.afterResolve
}

// unresolved reports whether the digest has to be looked up first, and notes
// what comes after that.
func (l *life) unresolved(next step) bool {
	if !l.wantsSums() {
		return false
	}
	l.afterResolve = next
	return true
}

// wantsSums reports whether the digest stands in a checksum file that was not fetched yet.
func (d *Download) wantsSums() bool {
	c := d.currentCheck()
	return c != nil && c.want == nil
}

// memory is the sink of a small file.
type memory struct{ bytes.Buffer }

func (m *memory) Start(transfer.Head, transfer.Source, int64) error { m.Reset(); return nil }
func (m *memory) WriteAt(b []byte, _ int64) (int, error)            { return m.Write(b) }
func (m *memory) Stored(*transfer.Result, int) error                { return nil }

// algorithms returns those of the digests that are to be computed.
func (l *life) algorithms(c *check) []digest.Algorithm {
	var all []digest.Algorithm
	if l.cfg.sha256 {
		all = append(all, digest.SHA256)
	}
	if c != nil && c.want != nil && !slices.Contains(all, c.algorithm()) { // else it is read at the end
		all = append(all, c.algorithm())
	}
	return all
}

// followDigests lets the digests be computed while the file arrives. What is there is
// read once.
func (l *life) followDigests() {
	algorithms := l.algorithms(l.currentCheck())
	if l.digests != nil || len(algorithms) == 0 {
		return
	}
	l.digests, l.digested = digest.NewStream(l.partial, algorithms...), algorithms
	for _, part := range l.fetched.Stored() {
		l.digests.Has(part.From, part.To)
	}
}

// keepOld notes that the origin of the file that is there is going to be asked.
func (l *life) keepOld(entry fs.Entry) { l.old, l.oldEntry = l.there, &entry }

// examine → succeed, resolve, queue (the file that is there is not the one that
// was asked for, is gone, or its origin has to be asked about it), or failed.
func (l *life) examine() step {
	entry, known, err := l.knownOf()
	switch {
	case errors.Is(err, errGone):
		return (*life).queue
	case errors.Is(err, errDamaged):
		return l.replace(err.Error())
	case err != nil:
		return l.fail(err)
	}
	if l.old = nil; l.site.outdated(l.Download, entry, known) {
		l.keepOld(entry)
	}
	c := l.currentCheck()
	verdict := c.provenBy(entry)
	if (verdict == unproven || l.old != nil) && l.unresolved((*life).examine) {
		return (*life).resolve
	}
	computed, err := l.complete(&entry, c, verdict)
	switch {
	case errors.Is(err, errGone):
		return (*life).queue
	case err != nil:
		return l.fail(err)
	case verdict == unproven:
		verdict = c.provenBy(fs.Entry{Digests: entry.Digests})
	}
	if verdict != proven {
		return l.replace("it does not have the checksum that is asked for")
	}
	if l.seal() != c {
		return (*life).examine // with the one that was adopted meanwhile
	}
	if l.old != nil {
		l.keepOld(entry) // with its digests
	}
	if l.old != nil && c == nil {
		l.asking = true
		return (*life).queue
	}
	if l.old != nil && c.spec.URL() != nil {
		l.vouched, entry.Validated = true, time.Now()
	}
	if computed || l.vouched || c.checksBy(entry) || c != nil && entry.Unproven {
		l.remember(entry, known, c)
	}
	return l.accept(entry, known)
}

// knownOf returns what is remembered of the file that is there, which is read if
// it is suspect.
func (l *life) knownOf() (fs.Entry, bool, error) {
	if !l.suspect {
		entry, known := l.site.entry(l.Download, l.there)
		if !known {
			entry = fs.Entry{} // of another file
		}
		return entry, known, nil
	}
	entry, err := l.site.reread(&l.ctx, l.Download, l.there)
	if err != nil {
		return fs.Entry{}, false, err
	}
	l.suspect = false
	if l.there = l.site.present(l.Download); l.there == nil {
		return fs.Entry{}, false, errGone
	}
	return entry, true, nil
}

// replace → queue, or failed: the file that is there is not the one.
func (l *life) replace(why string) step {
	if l.cfg.offline {
		return l.fail(&NotCachedError{Name: l.name, Offline: true, why: why})
	}
	l.cfg.logger.Warn("the file that is there is fetched anew", "name", l.name, "reason", why)
	l.stale, l.suspect, l.old = true, false, nil
	l.joined = false
	l.claim = claim{apart: l.claim.apart} // who was waited for has brought something else
	return (*life).queue
}

// complete computes the digests that are asked for and not known of the file that
// is there, and reports whether there were any.
func (l *life) complete(e *fs.Entry, c *check, verdict proof) (computed bool, err error) {
	var need []digest.Algorithm
	if verdict == unproven {
		need = append(need, c.algorithm())
	}
	if _, ok := digestIn(e.Digests, digest.SHA256); l.cfg.sha256 && !ok && !slices.Contains(need, digest.SHA256) {
		need = append(need, digest.SHA256)
	}
	if len(need) == 0 {
		return false, nil
	}
	digests, err := l.digestsOfFile(need)
	e.Digests = joinDigests(e.Digests, digests)
	return true, err
}

// remember keeps what was computed of a file that is there.
func (l *life) remember(e fs.Entry, known bool, c *check) {
	if !known {
		if c == nil {
			return // nothing says what the file is
		}
		e = fs.Entry{
			Name: l.name, Identity: identity(l.url), URL: transfer.Redact(l.url), Size: l.there.Size,
			ModTime: l.there.ModTime, Fetched: l.there.ModTime, Digests: e.Digests,
		}
	}
	if c.checksBy(e) {
		e.CheckedBy = c.source
	}
	e.Unproven = e.Unproven && c == nil
	l.site.record(l.Download, e)
}

// accept → succeed, queue (the lock file wants another one), or failed: the file that
// is there is the one.
func (l *life) accept(e fs.Entry, known bool) step {
	if why, err := l.lockThere(e); err != nil {
		return l.fail(err)
	} else if why != "" {
		return l.replace(why)
	}
	result, err := l.Download.found(*l.there, e, known)
	if err != nil {
		return l.fail(err)
	}
	switch {
	case l.vouched:
		result.Origin = OriginRevalidated
	case l.joined:
		result.Origin = OriginJoined
	}
	return l.succeed(result)
}

var (
	errGone    = errors.New("the file was removed while it was read")
	errDamaged = errors.New("it is damaged")
)

// digestsOfFile reads the file that is there.
func (l *life) digestsOfFile(algorithms []digest.Algorithm) ([]digest.Digest, error) {
	f, err := l.site.open(&l.ctx, l.Download)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // read-only: nothing to lose
	done, err := l.cfg.reading.begin(&l.ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return digestsOf(&l.ctx, f, l.there.Size, algorithms)
}

// digestsOf reads size bytes.
func digestsOf(ctx context.Context, src io.ReaderAt, size int64, algorithms []digest.Algorithm) ([]digest.Digest, error) {
	s := digest.NewStream(src, algorithms...)
	defer s.Close()
	digests, err := s.Sum(ctx, size)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return digests, err
}

// verify → land, resolve, reconsider (another source may have the right content),
// or failed.
func (l *life) verify() step {
	l.enter(StateVerifying)
	c := l.seal()
	if l.unresolved((*life).verify) {
		return (*life).resolve
	}
	digests, err := l.received(c)
	if err != nil {
		return l.fail(err)
	}
	if c != nil && !slices.ContainsFunc(digests, c.wants) {
		return l.mismatch(c, digests)
	}
	l.sums = digests
	if l.cfg.verify != nil {
		if err := l.callVerify(); err != nil {
			return l.fail(&VerifyError{URL: l.fetched.FinalURL, Err: err})
		}
	}
	if err := l.lockReceived(); err != nil {
		return l.fail(err)
	}
	return (*life).land
}

// callVerify calls the function of WithVerify.
func (l *life) callVerify() error {
	ctx, release := ending.Standard(&l.ctx)
	defer release()
	var refusal error
	err := guard("verify function", func() { refusal = l.cfg.verify(ctx, l.partial, l.fetched.N) })
	return errors.Join(err, refusal)
}

// received returns the digests of what has arrived.
func (l *life) received(c *check) ([]digest.Digest, error) {
	var digests []digest.Digest
	var err error
	if l.digests != nil {
		if digests, err = l.digests.Sum(&l.ctx, l.fetched.N); err != nil {
			return nil, l.cause(err)
		}
	}
	if c != nil && !slices.Contains(l.digested, c.algorithm()) { // it was asked for meanwhile
		more, err := digestsOf(&l.ctx, l.partial, l.fetched.N, []digest.Algorithm{c.algorithm()})
		if err != nil {
			return nil, err
		}
		digests = append(digests, more...)
	}
	return digests, nil
}

func (l *life) cause(err error) error {
	if l.ctx.Err() != nil {
		return context.Cause(&l.ctx)
	}
	return err
}

// mismatch → queue (once more from the first byte, if the parts may not belong
// together), or reconsider.
func (l *life) mismatch(c *check, digests []digest.Digest) step {
	got := slices.IndexFunc(digests, func(d digest.Digest) bool { return d.Algorithm == c.algorithm() })
	err := &ChecksumError{URL: l.fetched.FinalURL, Want: c.text(), Got: digests[got].String(), Lock: c.lock}
	again := l.pieced && !l.restarted
	if restart := l.restart(); restart != nil {
		return l.fail(restart)
	}
	if again {
		l.restarted = true
		l.cfg.logger.Warn("what was put together from parts has another checksum, it is fetched anew", "name", l.name, "error", err)
		return (*life).transfer
	}
	return l.reconsider(err)
}

// restart throws away what is stored.
func (l *life) restart() error {
	l.fetched, l.resumed, l.pieced, l.whole = transfer.Result{}, 0, false, false
	return l.prepare(transfer.Result{Head: transfer.Head{Total: -1}})
}

// VerifyError is content that the function of WithVerify refused.
type VerifyError struct {
	URL string // without secrets
	Err error
}

func (e *VerifyError) Error() string { return e.URL + ": verify: " + e.Err.Error() }

// Unwrap returns what the function said.
func (e *VerifyError) Unwrap() error { return e.Err }

func (d *Download) currentCheck() *check {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.check
}

func (d *Download) setCheck(c *check) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.check = c
}

// seal ends the time in which a check can be adopted, and returns the one there is.
func (d *Download) seal() *check {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sealed = true
	return d.check
}

// unseal lets checks be adopted again.
func (d *Download) unseal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sealed = false
}

// join reports whether who asks for c can have the outcome of this download,
// which adopts the check if it has none.
func (d *Download) join(c *check) relation {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case c == nil:
		return agrees
	case d.check != nil:
		return d.check.with(c)
	case d.sealed:
		return unclear
	}
	d.check = c
	return agrees
}
