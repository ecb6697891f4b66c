package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"sync"
	"time"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/digest"
)

// WithArchive keeps the archive from which GetDir fills a directory, as the file
// called name, where [DownloadManager.Get] finds it, too; and takes it from there if
// it is there already. "", the default: the archive is removed when the directory is
// there, and counts until then. It means nothing to other downloads.
func WithArchive(name string) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.archive = name })
}

// GetDir returns the directory called name, open, and makes it first if it is not
// there: it fetches the archive, with url and opts as [DownloadManager.Download] has
// them, verifies it, and has fill fill the directory from it. That happens once for
// all who ask for the name, in this process and in others; what fill leaves
// unfinished is never seen. Close it.
//
// The directory is one entry of the cache, beside the files and apart from their
// names: it counts with all its bytes, is evicted as a whole, and in [FileInfo] its
// name has a slash at the end. While it is being filled, room is made for what is
// written, as for a download; one that would be larger than the whole limit fails
// with ErrTooLarge. An error of fill's is returned, wrapped with the name; when it
// panics, GetDir fails. Links that lead out of the directory are refused.
//
// A directory that is there is taken without a request, as a file would be: also for
// another URL or another fill, unless the name was derived. With WithChecksum it has
// to be from such an archive, and with WithFreshness the archive is fetched again, or
// revalidated if WithArchive kept it, when it was fetched longer ago than that; only if it is another one
// is the directory filled anew.
//
// WithProgress tells how far the archive is; of a directory that is there, nothing.
//
// When ctx ends first, GetDir returns the context's cause. The work goes on for
// others who wait for it; when there is nobody, it is interrupted, and what has
// arrived of the archive is kept. Only the operating system's file system can hold
// directories: with WithFs, another one is [errors.ErrUnsupported].
func (m *DownloadManager) GetDir(ctx context.Context, url, name string, fill Filler, opts ...DownloadOption) (*Dir, error) {
	end, err := m.beginLease()
	if err != nil {
		return nil, err
	}
	defer end()
	a, err := m.askDir(url, name, fill, opts)
	if err != nil {
		return nil, err
	}
	release := m.limit.hold(m.shelf, a.id) // from before it lands
	dir, err := a.get(ctx)
	if err != nil {
		release()
		return nil, err
	}
	dir.release = release
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened[dir] = struct{}{}
	return dir, nil
}

// dirAsk is what one caller of GetDir asks for.
type dirAsk struct {
	m       *DownloadManager
	raw     string // the URL
	name    string
	derived bool
	id      string // of the tree
	archive string // the name of the archive
	keeps   bool   // it is not removed
	fill    Filler
	opts    []DownloadOption
	probe   *Download // the archive's, never started: what the options say
}

// archiveDir is where archives lie, under the key of their directory, which are
// removed when that is there: files of the cache like others, so that one that a
// killed process has left is found by the next, or evicted.
const archiveDir = ".archive"

func (m *DownloadManager) askDir(raw, name string, fill Filler, opts []DownloadOption) (*dirAsk, error) {
	a := &dirAsk{m: m, raw: raw, name: name, fill: fill, opts: opts}
	u, err := parseURL(raw)
	if err != nil {
		return nil, err
	}
	if name == "" {
		a.derived = true
		a.name, err = fs.FlatName(u)
	} else {
		a.name, err = fs.CleanName(name)
	}
	if err != nil {
		return nil, err
	}
	a.id = fs.TreeID(a.name)
	a.probe = m.newDownload(raw, opts)
	a.probe.asked = time.Now()
	a.archive, a.keeps = a.probe.cfg.archive, a.probe.cfg.archive != ""
	if !a.keeps {
		base, err := fs.FlatName(u)
		if err != nil {
			base = path.Base(a.name)
		}
		a.archive = path.Join(archiveDir, path.Base(a.id), base)
	}
	return a, m.locate(a.probe, a.archive)
}

// get returns the directory: the one that is there, or the one that a flight brings.
func (a *dirAsk) get(ctx context.Context) (*Dir, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		dir, err := a.open(ctx)
		if !errors.Is(err, errLostRace) {
			return dir, err
		}
		dir, err = a.m.fly(ctx, a)
		if !errors.Is(err, errLostRace) {
			return dir, err
		}
	}
}

// open returns the directory that is there. errLostRace says that it is none, or
// another one than is asked for.
func (a *dirAsk) open(ctx context.Context) (*Dir, error) {
	if a.probe.cfg.force {
		return nil, errLostRace
	}
	dir, info, err := a.openAny(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.suits(ctx, dir.tree, info); err != nil {
		return nil, errors.Join(err, dir.file.Close())
	}
	a.use(info)
	return dir, nil
}

// openAny is open for whatever directory is there. It is no use of it.
func (a *dirAsk) openAny(ctx context.Context) (*Dir, fs.Info, error) {
	file, tree, info, err := a.m.dir.LeaseTree(ctx, a.id)
	if errors.Is(err, os.ErrNotExist) {
		a.m.limit.forget(a.m.shelf, a.id)
		return nil, info, errLostRace
	}
	if err != nil {
		return nil, info, err
	}
	dir := &Dir{file: file, m: a.m, name: a.name, tree: tree, result: Result{
		Origin: OriginCached, Bytes: tree.Archive.Size, CRC32C: tree.Archive.CRC32C,
		Digest: firstDigest(tree.Archive.Digests), Verified: !tree.Archive.Unproven || a.probe.checked(),
	}}
	return dir, info, nil
}

// use notes that the directory is used now.
func (a *dirAsk) use(info fs.Info) {
	now := time.Now()
	a.m.dir.TouchTree(a.id, info, now)
	a.m.limit.add(a.m.shelf, a.id, info.Size, now)
}

// suits returns errLostRace unless the directory is from the archive that is asked
// for, as far as that is known.
func (a *dirAsk) suits(ctx context.Context, t fs.Tree, info fs.Info) error {
	e := archiveEntry(t, info)
	switch {
	case a.derived && e.Identity != identity(a.probe.url):
		return &NameTakenError{Name: a.name, By: a.name}
	case a.probe.currentCheck().provenBy(e) != proven, a.m.outdated(a.probe, e, true):
		return errLostRace
	}
	return a.lockThere(ctx, e)
}

// lockThere holds the archive of the directory that is there against the lock file.
func (a *dirAsk) lockThere(ctx context.Context, e fs.Entry) error {
	d := a.probe
	if d.locks(e) {
		return nil
	}
	known, hashed := digestIn(e.Digests, digest.SHA256)
	if _, locked := d.cfg.lock.find(d.url); locked || !hashed || e.Identity != identity(d.url) {
		return errLostRace
	}
	return d.cfg.lock.hold(ctx, d.url, known)
}

// archiveEntry is what is remembered of the archive that a directory is from. The
// time of its stamp is when that was known to be current.
func archiveEntry(t fs.Tree, info fs.Info) fs.Entry {
	return fs.Entry{
		Identity: [16]byte(t.Identity), Digests: t.Archive.Digests, CheckedBy: [16]byte(t.Archive.CheckedBy),
		Size: t.Archive.Size, CRC32C: t.Archive.CRC32C, Fetched: info.ModTime,
	}
}

// fetch returns the archive, open.
func (a *dirAsk) fetch(ctx context.Context, progress ProgressFunc) (*File, Result, error) {
	var landed lease
	defer landed.close()
	opts := append(a.opts[:len(a.opts):len(a.opts)], WithSHA256(), WithProgress(progress),
		downloadOption(func(c *downloadConfig) { c.landed = &landed }))
	for {
		f, result, err := a.m.getOnce(ctx, a.raw, a.archive, opts)
		if err == nil || !errors.Is(err, errLostRace) || ctx.Err() != nil {
			return f, result, a.named(err)
		}
	}
}

// lease keeps what has just landed from being evicted until it is open.
type lease struct {
	mu    sync.Mutex   // guards all below
	files []afero.File // one each time that it landed
	over  bool         // nobody needs it any more
}

func (l *lease) put(file afero.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		_ = file.Close() // read-only: nothing to lose
		return
	}
	l.files = append(l.files, file)
}

func (l *lease) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	for _, f := range l.files {
		_ = f.Close() // read-only: nothing to lose
	}
	l.files = nil
}

// named says of an error about the archive which directory it is about.
func (a *dirAsk) named(err error) error {
	if missing, ok := errors.AsType[*NotCachedError](err); ok && !a.keeps {
		return &NotCachedError{Name: a.name + "/", Offline: missing.Offline}
	}
	return err
}

// runFiller calls the filler.
func (a *dirAsk) runFiller(ctx context.Context, archive *File, into afero.Fs) (err error) {
	panicked := guard("filler", func() { err = a.fill(ctx, archive, into) })
	if err = errors.Join(err, panicked); err != nil {
		return fmt.Errorf("fill %q: %w", a.name, err)
	}
	return nil
}
