package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/dlmanager/dlmanager"
)

// standing is how a destination compares with what is wanted there.
type standing string

const (
	inPlace  standing = "in place"
	missing  standing = "missing"
	outdated standing = "outdated" // ours, as we left it, and no longer what is wanted
	changed  standing = "changed"  // ours, and changed since
	foreign  standing = "foreign"  // somebody else's
)

// identity names all that the destination's content depends on, without secrets.
func (it *syncItem) identity() string {
	check := it.checksum
	if isFile, err := dlmanager.IsChecksumFile(check); check != "" && err == nil && isFile {
		check = checksumFileIdentity(check)
	}
	name := it.name
	if it.tree != nil {
		name = it.tree.name // which says how it is unpacked
	}
	return hashOf(fmt.Appendf(nil, "%s\x00%s", name, check))
}

// checksumFileIdentity is a URL's name, or what the file at a path says now.
func checksumFileIdentity(spec string) string {
	if strings.Contains(spec, "://") {
		name, _ := dlmanager.TreeName(spec) // "" if it cannot be one: fetching it says so
		return name
	}
	text, err := readSettings(spec)
	if err != nil {
		return "" // using it says so
	}
	return hashOf(text)
}

// mode is the permissions of the file, before the umask.
func (it *syncItem) mode() os.FileMode {
	if it.from.mode != 0 {
		return it.from.mode
	}
	return 0o666
}

// look finds out how the destination stands. It reads a file only when size and time
// do not tell.
func (it *syncItem) look(ctx context.Context, root string, s *syncState) (standing, error) {
	if err := staysInside(root, it.target); err != nil {
		return "", err
	}
	fi, err := os.Lstat(it.target)
	if errors.Is(err, iofs.ErrNotExist) {
		return missing, nil
	}
	if err != nil {
		return "", err
	}
	if it.tree != nil {
		return it.lookTree(ctx, s, fi)
	}
	r, ours := s.of(it.rel)
	if !fi.Mode().IsRegular() {
		if ours {
			return changed, nil
		}
		return foreign, nil
	}
	it.result.Bytes = fi.Size()
	switch {
	case !ours || !r.fits(fi):
		return it.read(ctx, s, fi, r, ours)
	case it.right(r):
		it.digest = r.SHA256
		return inPlace, nil
	default:
		return outdated, nil
	}
}

// right reports whether what was noted is what is wanted.
func (it *syncItem) right(r syncRecord) bool {
	if iofs.FileMode(r.Asked) != it.mode() {
		return false
	}
	if it.pinned {
		return r.SHA256 == it.digest
	}
	return r.Wanted == it.wanted && (it.digest == "" || r.SHA256 == it.digest)
}

// read compares what is in the file with what was put there and what is wanted.
func (it *syncItem) read(ctx context.Context, s *syncState, fi iofs.FileInfo, r syncRecord, ours bool) (standing, error) {
	sum, err := sha256Of(ctx, it.target)
	if err != nil {
		return "", err
	}
	asWeLeft := ours && sum == r.SHA256
	switch {
	case asWeLeft && it.right(r) && fi.Mode() == iofs.FileMode(r.Mode), !asWeLeft && sum == it.digest && it.mayRun(fi):
		it.digest = sum
		s.note(it.rel, it.record(fi, sum))
		return inPlace, nil
	case asWeLeft, sum == it.digest:
		return outdated, nil // placed again, it gets its mode
	case ours:
		return changed, nil
	default:
		return foreign, nil
	}
}

// mayRun reports whether the file is executable if it has to be.
func (it *syncItem) mayRun(fi iofs.FileInfo) bool {
	return runtime.GOOS == "windows" || it.mode()&0o100 == 0 || fi.Mode()&0o100 != 0
}

func (it *syncItem) record(fi iofs.FileInfo, sum string) syncRecord {
	return syncRecord{
		Wanted: it.wanted, SHA256: sum, Asked: uint32(it.mode()),
		Bytes: fi.Size(), Modified: fi.ModTime().UnixNano(), Mode: uint32(fi.Mode()),
	}
}

// staysInside refuses a destination that a link leads out of root.
func staysInside(root, target string) error {
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return err
	}
	dir := filepath.Dir(target)
	there, err := filepath.EvalSymlinks(dir)
	for errors.Is(err, iofs.ErrNotExist) && dir != root {
		dir = filepath.Dir(dir)
		there, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return err
	}
	if inside, err := filepath.Rel(real, there); err != nil || !filepath.IsLocal(inside) {
		return &hinted{fmt.Errorf("a link leads from %s to %s, out of the manifest's folder", dir, there), "remove the link, or take another destination"}
	}
	return nil
}

// sha256Of reads a file and returns its SHA-256 in hexadecimal.
func sha256Of(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() // read-only: nothing to lose
	return sha256From(ctx, f)
}

func sha256From(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	for buf := make([]byte, 1<<20); ; {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		n, err := r.Read(buf)
		h.Write(buf[:n])
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}
