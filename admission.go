package dlmanager

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
)

// The manager is the site of its downloads.
var _ site = (*DownloadManager)(nil)

// look returns the file that the download is of, if it is there. It is nil when
// it has to be fetched.
func (m *DownloadManager) look(d *Download) (*fs.Info, error) {
	if d.cfg.force {
		return nil, nil
	}
	info, err := m.dir.Stat(d.name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if other, differs := m.dir.Spelling(d.name); differs {
		return nil, &NameTakenError{Name: d.name, By: other, twin: true}
	}
	if d.derived {
		if same, err := m.isOf(d, info); err != nil || !same {
			return nil, err
		}
	}
	return &info, m.use(d, info)
}

// use records the use of the file that the download found.
func (m *DownloadManager) use(d *Download, info fs.Info) error {
	m.dir.Touch(d.name, info, time.Now())
	if d.cfg.mode&0o111 != 0 {
		return m.dir.MakeExecutable(d.name, info)
	}
	return nil
}

// isOf reports whether the file that has the derived name is that of the
// download's URL. Of a file in a cache that nothing is known of, nobody can tell:
// it is fetched anew. In a directory that is not ours it is left alone.
func (m *DownloadManager) isOf(d *Download, info fs.Info) (bool, error) {
	entry, known := m.dir.Entry(d.name, info)
	switch {
	case known && entry.Identity == identity(d.url):
		return true, nil
	case known || !m.dir.Marked():
		return false, &NameTakenError{Name: d.name, By: d.name}
	}
	return false, nil
}

func (m *DownloadManager) admit(ctx context.Context, d *Download) (func(), *fs.Info, error) {
	waited, err := m.awaitPredecessor(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	if err := m.refuseTwin(ctx, d); err != nil {
		return nil, nil, err
	}
	queued := !m.slots.TryAcquire(1)
	if queued {
		if err := m.slots.Acquire(ctx, 1); err != nil {
			return nil, nil, context.Cause(ctx)
		}
	}
	release := m.hold(d)
	if waited || queued {
		// Another process may have fetched it meanwhile.
		if info, err := m.look(d); info != nil || err != nil {
			release()
			return nil, info, err
		}
	}
	return release, nil, nil
}

// hold keeps the file that the download replaces from being evicted, and
// returns what ends that and gives back the slot.
func (m *DownloadManager) hold(d *Download) (release func()) {
	unhold := func() {}
	if m.limit != nil {
		unhold = m.limit.hold(m.shelf, d.name)
	}
	return func() {
		unhold()
		m.slots.Release(1)
	}
}

// awaitPredecessor waits for the download of the same name that was stopped and
// is not over, and reports whether there was one.
func (m *DownloadManager) awaitPredecessor(ctx context.Context, d *Download) (bool, error) {
	m.mu.Lock()
	earlier := m.before[d]
	m.mu.Unlock()
	if earlier == nil {
		return false, nil
	}
	select {
	case <-earlier.Done():
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	m.mu.Lock()
	delete(m.before, d)
	m.mu.Unlock()
	return true, nil
}

// refuseTwin fails when a file is there whose name some file systems take for
// the download's: one of the two would get the other's content.
func (m *DownloadManager) refuseTwin(ctx context.Context, d *Download) error {
	twin, found, err := m.dir.Twin(ctx, d.name)
	if err != nil {
		return err
	}
	if found {
		return &NameTakenError{Name: d.name, By: twin, twin: true}
	}
	return nil
}

func (m *DownloadManager) create(d *Download) (*fs.Partial, error) {
	return m.dir.Create(d.name, d.cfg.mode)
}

func (m *DownloadManager) reserve(ctx context.Context, _ *Download, n int64) (*room, error) {
	if m.limit == nil {
		return nil, nil
	}
	if err := m.house.awaitLoaded(ctx); err != nil {
		return nil, err
	}
	return m.limit.reserve(ctx, m.shelf, n)
}

func (m *DownloadManager) landed(d *Download, l landing) {
	err := m.dir.Record(fs.Entry{
		Name: d.name, Identity: identity(d.url), URL: RedactURL(d.raw),
		Size: l.result.Bytes, ModTime: l.modTime, Fetched: time.Now(), CRC32C: l.result.CRC32C,
		ETag: l.result.ETag, LastModified: l.result.LastModified,
	})
	if err != nil {
		d.cfg.logger.Warn("file is not remembered", "name", d.name, "error", err)
	}
	m.house.added.Store(true)
	l.room.land(d.name, l.result.Bytes, l.modTime)
}

func (m *DownloadManager) open(d *Download) (afero.File, error) { return m.dir.Open(d.name) }

func (m *DownloadManager) leave(d *Download) {
	key := fs.Fold(d.name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.inFlight[key] == d {
		delete(m.inFlight, key)
	}
	delete(m.before, d)
	m.failures.add(d.Err())
}

func (m *DownloadManager) gone(d *Download) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.alive, d)
	d.close() // under mu: a download that Wait does not find alive is done
}
