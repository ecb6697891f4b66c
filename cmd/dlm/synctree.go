package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/dlmanager/dlmanager"
)

// treeNotes says how the entries of a folder were left, by their paths with slashes.
type treeNotes map[string]treeEntry

// treeEntry is a file, a link or a folder.
type treeEntry struct {
	Mode     uint32 `json:"mode"`
	Bytes    int64  `json:"bytes,omitempty"`
	Modified int64  `json:"modified,omitempty"` // of files alone: nanoseconds since 1970
	Link     string `json:"link,omitempty"`
}

// survey lists what is in the folder.
func survey(ctx context.Context, root string) (treeNotes, error) {
	notes := treeNotes{}
	err := filepath.WalkDir(root, func(path string, d iofs.DirEntry, err error) error {
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil || path == root {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		notes[filepath.ToSlash(rel)], err = treeEntryOf(path, d)
		return err
	})
	return notes, err
}

func treeEntryOf(path string, d iofs.DirEntry) (e treeEntry, err error) {
	fi, err := d.Info()
	if err != nil {
		return e, err
	}
	e.Mode = uint32(fi.Mode())
	switch {
	case fi.Mode().IsRegular():
		e.Bytes, e.Modified = fi.Size(), fi.ModTime().UnixNano()
	case fi.Mode()&iofs.ModeSymlink != 0:
		e.Link, err = os.Readlink(path)
	}
	return e, err
}

// bytes is how much all files hold.
func (n treeNotes) bytes() (all int64) {
	for _, e := range n {
		all += e.Bytes
	}
	return all
}

// within reports whether all that is noted is so in other, which may have more.
func (n treeNotes) within(other treeNotes) bool {
	for path, e := range n {
		if other[path] != e {
			return false
		}
	}
	return true
}

// lookTree is look for a folder. One without anything in it is as good as none.
func (it *syncItem) lookTree(ctx context.Context, s *syncState, fi iofs.FileInfo) (standing, error) {
	r, ours := s.of(it.rel)
	notOurs := foreign
	if ours {
		notOurs = changed
	}
	if !fi.IsDir() {
		return notOurs, nil
	}
	now, err := survey(ctx, it.target)
	if err != nil {
		return "", err
	}
	if len(now) == 0 {
		return missing, nil
	}
	notes, err := s.treeOf(it.rel, r)
	it.result.Bytes = notes.bytes()
	switch {
	case !ours || err != nil || !notes.within(now):
		return notOurs, nil
	case it.right(r):
		it.digest = r.SHA256
		return inPlace, nil
	case len(now) > len(notes):
		it.added = true
		return changed, nil
	default:
		return outdated, nil
	}
}

// placeTree puts a copy of the folder to its destination, unless that has it already.
func (r *syncRun) placeTree(ctx context.Context, it *syncItem) error {
	dir := it.tree.dir
	if it.target == "" {
		it.path = dir.Path()
		return nil
	}
	it.digest = strings.TrimPrefix(dir.Result().Digest, "sha256:")
	now, err := r.fillTree(ctx, it)
	if errors.Is(err, os.ErrExist) { // another process was quicker
		now, err = r.fillTree(ctx, it)
	}
	if err != nil {
		return err
	}
	it.standing, it.path = now, it.target
	return it.noteTree(ctx, dir, r.state)
}

// fillTree makes the destination what the cache has, and returns how it stood.
func (r *syncRun) fillTree(ctx context.Context, it *syncItem) (standing, error) {
	dir := it.tree.dir
	now, err := it.look(ctx, r.root, r.state)
	if err != nil {
		return now, err
	}
	if now == changed || now == foreign {
		same, err := sameTree(ctx, dir.Path(), it.target)
		switch {
		case err != nil:
			return now, err
		case same:
			return inPlace, nil
		case !r.flags.overwrite:
			return now, it.occupied(now)
		}
	}
	switch now {
	case inPlace:
		return now, nil
	case missing:
		return now, dir.CopyTo(ctx, it.target)
	default:
		return now, r.state.swap(it.target, func(to string) error { return dir.CopyTo(ctx, to) })
	}
}

// noteTree notes what is there of what the cache has.
func (it *syncItem) noteTree(ctx context.Context, dir *dlmanager.Dir, s *syncState) error {
	ours, err := survey(ctx, dir.Path())
	if err != nil {
		return err
	}
	now, err := survey(ctx, it.target)
	if err != nil {
		return err
	}
	for path := range ours {
		ours[path] = now[path]
	}
	key, err := s.saveTree(it.rel, ours)
	if err != nil {
		return err
	}
	s.note(it.rel, syncRecord{Wanted: it.wanted, SHA256: it.digest, Asked: uint32(it.mode()), Bytes: ours.bytes(), Tree: key})
	return nil
}

// sameTree reports whether all that is in one folder is in the other as well, with
// the same content.
func sameTree(ctx context.Context, from, to string) (bool, error) {
	fi, err := os.Lstat(to)
	if err != nil || !fi.IsDir() {
		return false, err
	}
	var other error
	c := contents{make([]byte, 256<<10), make([]byte, 256<<10)}
	err = filepath.WalkDir(from, func(path string, d iofs.DirEntry, err error) error {
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil || path == from {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		same, err := c.sameEntry(path, filepath.Join(to, rel), d)
		if err == nil && !same {
			other = errOtherTree
			return iofs.SkipAll
		}
		return err
	})
	return other == nil && err == nil, err
}

var errOtherTree = errors.New("another tree")

// contents compares entries, with buffers for the content of files.
type contents struct{ left, right []byte }

func (c contents) sameEntry(from, to string, d iofs.DirEntry) (bool, error) {
	want, err := treeEntryOf(from, d)
	if err != nil {
		return false, err
	}
	fi, err := os.Lstat(to)
	if errors.Is(err, iofs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	got, err := treeEntryOf(to, iofs.FileInfoToDirEntry(fi))
	if err != nil || got.Link != want.Link || got.Bytes != want.Bytes || !sameKind(iofs.FileMode(got.Mode), iofs.FileMode(want.Mode)) {
		return false, err
	}
	if !fi.Mode().IsRegular() {
		return true, nil
	}
	return c.same(from, to)
}

// sameKind reports whether both are files, links or folders, and executable or not.
func sameKind(a, b iofs.FileMode) bool {
	return a.Type() == b.Type() && (runtime.GOOS == "windows" || a&0o100 == b&0o100)
}

// same compares two files of one size.
func (c contents) same(a, b string) (bool, error) {
	one, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer one.Close() // read-only: nothing to lose
	two, err := os.Open(b)
	if err != nil {
		return false, err
	}
	defer two.Close() // read-only: nothing to lose
	for {
		n, err := io.ReadFull(one, c.left)
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return false, err
		}
		if _, err := io.ReadFull(two, c.right[:n]); err != nil || !bytes.Equal(c.left[:n], c.right[:n]) {
			return false, nil // shorter, since it was looked at
		}
	}
}
