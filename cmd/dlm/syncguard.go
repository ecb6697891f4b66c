package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// A manifest may have come with somebody's project. What it can make dlm sync write is
// what the project could have brought itself: nothing outside its folder, and nothing
// that git would run or heed.

// staysInside refuses a destination that a link leads out of root, or into a folder
// that no artifact may go to.
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
	const hint = "remove the link, or take another destination"
	inside, err := filepath.Rel(real, there)
	switch {
	case err != nil || !filepath.IsLocal(inside):
		return &hinted{fmt.Errorf("a link leads from %s to %s, out of the manifest's folder", dir, there), hint}
	case ownerOf(filepath.ToSlash(inside)) != "":
		return &hinted{fmt.Errorf("a link leads from %s to %s", dir, there), hint}
	}
	return nil
}

// ownerOf says whose a path is that no artifact may have, "" if anyone may have it.
func ownerOf(rel string) string {
	for i, name := range strings.Split(rel, "/") {
		switch name = plainName(name); {
		case name == ".git" || name == "git~1":
			return "git's"
		case i == 0 && name == syncFolder:
			return "dlm's"
		}
	}
	return ""
}

// checkTree refuses to put the folder where the artifact goes if anything in it would be
// git's there.
func (it *syncItem) checkTree(ctx context.Context, folder string) error {
	return filepath.WalkDir(folder, func(path string, _ iofs.DirEntry, err error) error {
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(folder, path)
		if err == nil && ownerOf(it.rel+"/"+filepath.ToSlash(rel)) != "" {
			err = &hinted{fmt.Errorf("the archive has %s in it, which git would take for its own", filepath.ToSlash(rel)), "without a destination (to) it is unpacked in the cache"}
		}
		return err
	})
}

// plainName is the name that some file system takes the name for: macOS overlooks
// letters' case and what is invisible, Windows also dots and spaces at the end and what
// a colon begins.
func plainName(name string) string {
	name, _, _ = strings.Cut(name, ":")
	name = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
	return strings.TrimRight(name, " .")
}

// checkNotes refuses notes that a link leads elsewhere: nothing is written there.
func (s *syncState) checkNotes() error {
	dir := filepath.Dir(s.path)
	fi, err := os.Lstat(dir)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !fi.IsDir():
		return &hinted{fmt.Errorf("%s has to be a folder, and is a file or a link", dir), "remove it; the next call makes one"}
	}
	return nil
}

// checkFoundLock refuses a lock file that nobody has named and that a link leads out of
// the manifest's folder: lines would be written there.
func checkFoundLock(root, lock string) error {
	there, err := filepath.EvalSymlinks(lock)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil // a file takes the link's place
	}
	if err != nil {
		return err
	}
	if err := staysInside(root, there); err == nil {
		return nil
	}
	return &usageError{lock + " is a link to " + there + ", which is not for lock files of this manifest", "if that is right, --lock " + there + " names it"}
}
