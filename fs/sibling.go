package fs

import (
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
