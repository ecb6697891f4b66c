package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/digest"
)

// mismatch is a file that is not what is remembered of it.
type mismatch struct{ want, got string }

func (e *mismatch) Error() string { return fmt.Sprintf("want %s, got %s", e.want, e.got) }

// Is makes it match errDamaged.
func (e *mismatch) Is(target error) bool { return target == errDamaged }

// reread reads a suspect file. If it is whole, it is suspect no more.
func (m *DownloadManager) reread(ctx context.Context, d *Download, there *fs.Info) (fs.Entry, error) {
	entry, known := m.dir.Lookup(d.name)
	if !known {
		return fs.Entry{}, errDamaged // what was known of it is gone since it was looked at
	}
	if err := m.compare(ctx, entry, *there); err != nil {
		return fs.Entry{}, err
	}
	return m.dir.Settle(entry, *there), nil
}

// confirm fails if the file called name is not what was fetched. It is read only if
// it is suspect.
func (m *DownloadManager) confirm(name string, info fs.Info) error {
	err := error(errDamaged)
	switch m.dir.Condition(name, info) {
	case fs.Intact:
		return nil
	case fs.Suspect:
		entry, known := m.dir.Lookup(name)
		if !known {
			break
		}
		if err = m.compare(context.Background(), entry, info); err == nil { // which ends with the file
			m.dir.Settle(entry, info)
			return nil
		}
	}
	if errors.Is(err, errDamaged) || errors.Is(err, errGone) {
		return &NotCachedError{Name: name, why: err.Error()}
	}
	return err
}

// compare holds the file against what is remembered of it: its CRC, or its digest
// where that is known. A *mismatch says how they differ, errGone that it is not
// there.
func (m *DownloadManager) compare(ctx context.Context, e fs.Entry, info fs.Info) error {
	if e.Size != info.Size {
		return &mismatch{bytesOf(e.Size), bytesOf(info.Size)}
	}
	done, err := m.cfg.defaults.reading.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	f, err := m.dir.OpenUnused(e.Name)
	if errors.Is(err, os.ErrNotExist) {
		return errGone
	}
	if err != nil {
		return err
	}
	defer f.Close() // read-only: nothing to lose
	want, ok := bestDigest(e.Digests)
	if !ok {
		return compareCRC(ctx, e, f)
	}
	got, err := digestsOf(ctx, f, e.Size, []digest.Algorithm{want.Algorithm})
	if err != nil {
		return err
	}
	if got[0] != want {
		return &mismatch{want.String(), got[0].String()}
	}
	return nil
}

func compareCRC(ctx context.Context, e fs.Entry, f io.Reader) error {
	sum, size, err := fs.CRC(ctx, f)
	switch {
	case err != nil:
		return err
	case size != e.Size:
		return &mismatch{bytesOf(e.Size), bytesOf(size)}
	case sum != e.CRC32C:
		return &mismatch{crcText(e.CRC32C), crcText(sum)}
	}
	return nil
}

func bytesOf(n int64) string { return fmt.Sprintf("%d bytes", n) }

func crcText(sum uint32) string { return fmt.Sprintf("crc32c:%08x", sum) }

// bestDigest returns the digest to hold a file against: the SHA-256 if it is known.
func bestDigest(list string) (digest.Digest, bool) {
	d, err := digest.Parse(firstDigest(list))
	return d, err == nil
}
