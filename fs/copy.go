package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/afero"
)

// copyBuffer is how much CopyTo moves at a time: from some 256 KiB on, a larger
// one saves little.
const copyBuffer = 1 << 20

// CopyTo copies src, all of it, to the path dest, which it replaces whole or not
// at all. perm counts before the umask. Where the file system can, the two files
// share their blocks until one is changed.
func CopyTo(ctx context.Context, src io.ReaderAt, fsys afero.Fs, dest string, perm os.FileMode, mode SyncMode) error {
	spot, err := SiblingSpot(fsys, filepath.Clean(dest))
	if err != nil {
		return err
	}
	p, err := spot.CreateApart(perm)
	if err != nil {
		return err
	}
	defer p.Cancel()
	if err := p.fill(ctx, src); err != nil {
		return err
	}
	err = p.Commit(mode)
	if err == nil && mode == SyncDir {
		err = p.SyncName()
	}
	return err
}

// fill copies src into the empty partial file.
func (p *Partial) fill(ctx context.Context, src io.ReaderAt) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var off int64
	if from, to := osFiles(src, p.file); from != nil {
		off = kernelCopy(ctx, to, from)
	}
	for buf := make([]byte, copyBuffer); ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := src.ReadAt(buf, off)
		if n > 0 {
			if _, err := p.WriteAt(buf[:n], off); err != nil {
				return err
			}
			off += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// osFiles returns both as files of the operating system, if they are.
func osFiles(src io.ReaderAt, dst handle) (from, to *os.File) {
	from, ok := src.(*os.File)
	to, same := dst.(*os.File)
	if !ok || !same {
		return nil, nil
	}
	return from, to
}

// LinkTo gives the open file src, which is at the path from, the path dest as
// well, in place of what is there. It is an error where the file system cannot,
// or is another one, and errors.ErrUnsupported for files of another kind. When
// from leads elsewhere by now, it is os.ErrNotExist.
func LinkTo(src afero.File, from string, fsys afero.Fs, dest string, mode SyncMode) error {
	open, ok := src.(*os.File)
	if !ok {
		return &os.LinkError{Op: "link", Old: from, New: dest, Err: errors.ErrUnsupported}
	}
	spot, err := SiblingSpot(fsys, filepath.Clean(dest))
	if err != nil {
		return err
	}
	if err := spot.makeFolder(); err != nil {
		return err
	}
	temp := path.Join(spot.dir, spot.stem+"-"+randomHex()+partialSuffix)
	if err := os.Link(from, temp); err != nil {
		return err
	}
	defer os.Remove(temp) // after a rename over the same file it is still there (rename(2))
	if err := leadsTo(fsys, temp, open); errors.Is(err, errLost) {
		return &os.LinkError{Op: "link", Old: from, New: dest, Err: os.ErrNotExist}
	} else if err != nil {
		return err
	}
	if err := retryBusy(func() error { return fsys.Rename(temp, spot.final) }); err != nil {
		return err
	}
	if mode == SyncDir {
		return syncDir(fsys, path.Dir(spot.final))
	}
	return nil
}
