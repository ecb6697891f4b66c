package unpack

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/dlmanager/dlmanager/fs"
)

// refuse is the refusal of an entry by its name in the archive.
func refuse(name, reason string) error { return &EntryError{Entry: name, Reason: reason} }

// writeError says at which entry writing failed.
func writeError(name string, err error) error {
	return fmt.Errorf("write entry %s: %w", quoted(name), err)
}

// cleanPath returns the path of an entry within the folder: without "." and without
// doubled and last slashes, which tar writes. "." is the folder itself. Its error is a
// reason only.
func cleanPath(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("its name is empty")
	case name[0] == '/':
		return "", errors.New("its name is absolute, and would lead out of the folder")
	case isDrive(name):
		return "", errors.New("its name begins with a drive letter, and would lead out of the folder on Windows")
	}
	parts := make([]string, 0, strings.Count(name, "/")+1)
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			return "", errors.New(`its name has the part "..", and may lead out of the folder`)
		default:
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return ".", nil
	}
	clean := strings.Join(parts, "/")
	if err := checkPath(clean); err != nil {
		return "", fmt.Errorf("its name cannot be used: %w", err)
	}
	return clean, nil
}

// isDrive reports whether Windows takes the path for one on a drive.
func isDrive(path string) bool {
	return len(path) > 1 && path[1] == ':' && ('a' <= path[0]|0x20 && path[0]|0x20 <= 'z')
}

// checkPath refuses what the cache refuses as the name of a file, for the same
// reasons; see [fs.CleanName]. But where they are ordinary it lets pass what only
// Windows reserves: manuals of libraries are called std::string.3, and a source of
// Linux is aux.c.
func checkPath(path string) error {
	if runtime.GOOS != "windows" {
		path = strings.Map(plainOnUnix(), path)
	}
	// Below a folder, so that the names that the cache keeps for itself are free.
	_, err := fs.CleanName("x/" + path)
	if named, ok := errors.AsType[*fs.NameError](err); ok {
		reason := named.Reason // ends in advice for who chooses the name
		if end := strings.LastIndex(reason, "; "); end > 0 {
			reason = reason[:end]
		}
		return errors.New(reason)
	}
	return err
}

// plainOnUnix maps the characters of a path, one after the other, so that no device of
// Windows and none of the characters that it reserves is left. The length stays.
func plainOnUnix() func(r rune) rune {
	first := true // of a part
	return func(r rune) rune {
		begins := first
		first = r == '/'
		letter := 'a' <= r|0x20 && r|0x20 <= 'z'
		if begins && letter || strings.ContainsRune(`<>:"|?*`, r) {
			return '_'
		}
		return r
	}
}

// strip drops the first n parts of a clean path. What is left of fewer is ".".
func strip(clean string, n int) string {
	for range n {
		var more bool
		if _, clean, more = strings.Cut(clean, "/"); !more {
			return "."
		}
	}
	return clean
}
