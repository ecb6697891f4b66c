package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"time"
)

// What is in a folder is noted in a file of its own, whose hash stands in the notes.

// treePath is where the entries of the folder are noted.
func (s *syncState) treePath(rel string) string {
	sum := sha256.Sum256([]byte(rel))
	return s.path + "." + hex.EncodeToString(sum[:8])
}

// treeOf returns what is noted of the folder.
func (s *syncState) treeOf(rel string, r syncRecord) (treeNotes, error) {
	text, err := os.ReadFile(s.treePath(rel))
	if err != nil {
		return nil, err
	}
	if hashOf(text) != r.Tree {
		return nil, errOtherNotes
	}
	var notes treeNotes
	err = json.Unmarshal(text, &notes)
	return notes, err
}

// saveTree notes what is in the folder, and returns what ties the record to that.
func (s *syncState) saveTree(rel string, notes treeNotes) (key string, err error) {
	text, err := json.Marshal(notes)
	if err != nil {
		return "", err
	}
	if err := makeSyncFolder(filepath.Dir(s.path)); err != nil {
		return "", err
	}
	return hashOf(text), replaceFile(s.treePath(rel), text)
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// swapAge is how old a folder of swap's is that nobody can be working on any more.
const swapAge = 24 * time.Hour

// sweep removes what killed processes have left.
func (s *syncState) sweep() {
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(s.path), "swap-*")) // a bad pattern finds none
	for _, dir := range left {
		if fi, err := os.Lstat(dir); err == nil && time.Since(fi.ModTime()) > swapAge {
			_ = os.RemoveAll(dir) // the next one tries again
		}
	}
}

// swap replaces what is at target by what make makes, which is there for no longer
// than between two renames. What a kill leaves of it is in our folder.
func (s *syncState) swap(target string, make func(to string) error) (err error) {
	if err := makeSyncFolder(filepath.Dir(s.path)); err != nil {
		return err
	}
	s.sweep()
	aside, err := os.MkdirTemp(filepath.Dir(s.path), "swap-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	fresh, old := filepath.Join(aside, "new"), filepath.Join(aside, "old")
	if err := make(fresh); err != nil {
		return err
	}
	if err := os.Rename(target, old); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, target); err != nil {
		return errors.Join(err, os.Rename(old, target))
	}
	return nil
}
