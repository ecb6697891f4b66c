package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/afero"
)

// maxStem bounds the readable part of a hidden partial's name, so that with the
// key and the suffix it stays under NAME_MAX (255 bytes) whatever the target.
const maxStem = 100

// SiblingSpot returns where the partial file of dest lies, a path outside any
// cache directory: a hidden file beside it, so that the rename stays within one
// file system. Missing folders are made. A directory in dest's place is an error.
func SiblingSpot(fsys afero.Fs, dest string) (Spot, error) {
	if fi, err := fsys.Stat(dest); err == nil && fi.IsDir() {
		return Spot{}, &os.PathError{Op: "create", Path: dest, Err: errIsDir}
	}
	dir, base := filepath.Split(filepath.ToSlash(dest))
	if dir == "" {
		dir = "."
	}
	stem := base
	if len(stem) > maxStem {
		stem = strings.ToValidUTF8(stem[:maxStem], "")
	}
	return Spot{fsys: fsys, dir: dir, stem: "." + stem + "." + key(base), final: filepath.ToSlash(dest), suspect: true}, nil
}

// hiddenPartial matches the names beside a SiblingSpot's destination.
var hiddenPartial = regexp.MustCompile(`^\..*\.[0-9A-V]{20}((-[0-9a-f]{16})?\.part|\.json)$`)

// IsHiddenPartial reports whether the base name is one that lies beside a
// SiblingSpot's destination: of a file on its way, not of a finished one.
func IsHiddenPartial(base string) bool {
	return strings.HasPrefix(base, ".") && hiddenPartial.MatchString(base)
}

// copyBuffer is how much CopyTo moves at a time: from some 256 KiB on, a larger
// one saves little.
const copyBuffer = 1 << 20

// CopyTo copies src, from where it stands, to the path dest, which it replaces
// whole or not at all. perm counts before the umask.
func CopyTo(ctx context.Context, src io.Reader, fsys afero.Fs, dest string, perm os.FileMode, mode SyncMode) error {
	spot, err := SiblingSpot(fsys, filepath.Clean(dest))
	if err != nil {
		return err
	}
	p, err := spot.CreateApart(perm)
	if err != nil {
		return err
	}
	defer p.Cancel()
	buf := make([]byte, copyBuffer)
	var off int64
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := src.Read(buf)
		if n > 0 {
			if _, err := p.WriteAt(buf[:n], off); err != nil {
				return err
			}
			off += int64(n)
		}
		if errors.Is(err, io.EOF) {
			err = p.Commit(mode)
			if err == nil && mode == SyncDir {
				err = p.SyncName()
			}
			return err
		}
		if err != nil {
			return err
		}
	}
}
