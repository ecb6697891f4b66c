package main

import (
	"os"
	"path/filepath"
)

// locate returns the absolute path of the cache directory: the one given, or
// dlm in the user's cache directory. There is no other way out: a temporary
// directory would lose what was fetched, and fill the disk with it.
func (f *dirFlag) locate() (string, error) {
	dir := f.dir
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", &usageError{
				text: "no cache directory is known: " + err.Error(),
				hint: "name one: --cache-dir DIR, or the variable DLM_CACHE_DIR",
			}
		}
		dir = filepath.Join(base, "dlm")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", &usageError{text: given(f.flags, "cache-dir") + ": " + err.Error()}
	}
	return abs, nil
}
