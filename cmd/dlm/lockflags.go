package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/dlmanager/dlmanager"
)

// lockFlags say where it is written what each URL brought first.
type lockFlags struct {
	lock   string
	frozen bool
	flags  *pflag.FlagSet
}

// register adds them to the group that is open.
func (f *lockFlags) register(s *flagSet) {
	f.flags = s.FlagSet
	s.StringVar(&f.lock, "lock", "", "record in `FILE` what a URL brings first, its SHA-256, and refuse anything else from then on; the file is text, for version control")
	s.BoolVar(&f.frozen, "frozen", false, "with --lock: refuse URLs that the file does not have, and leave it as it is")
}

// options also reads the file.
func (f *lockFlags) options() ([]dlmanager.Option, error) {
	file, err := f.open()
	if err != nil || file == nil {
		return nil, err
	}
	return []dlmanager.Option{dlmanager.WithLockFile(file)}, nil
}

// open reads the file; nil: there is none.
func (f *lockFlags) open() (*dlmanager.LockFile, error) {
	lock := given(f.flags, "lock")
	if f.lock == "" {
		switch {
		case f.flags.Changed("lock"): // a variable of a script that is not set
			return nil, &usageError{lock + " is empty", "leave it out to lock nothing"}
		case f.frozen:
			return nil, &usageError{given(f.flags, "frozen") + " needs a lock file", lock + " FILE names it"}
		}
		return nil, nil
	}
	file, err := dlmanager.OpenLockFile(f.lock, dlmanager.LockOptions{Frozen: f.frozen})
	if err != nil && isLockFile(err) {
		return nil, fmt.Errorf("%s: %w", lock, err)
	}
	if err != nil {
		wrong := &usageError{text: lock + ": " + err.Error()}
		if errors.Is(err, os.ErrNotExist) { // else it is made
			wrong.hint = "without " + given(f.flags, "frozen") + " the first call makes it; commit it then"
		}
		return nil, wrong
	}
	return file, nil
}

// isLockFile reports whether a line of the lock file makes no sense.
func isLockFile(err error) bool {
	_, bad := errors.AsType[*dlmanager.LockFileError](err)
	return bad
}

// lockHint says what to do about what the lock file does not allow, "" if it is
// something else.
func lockHint(err error) string {
	if errors.Is(err, dlmanager.ErrNotLocked) {
		return "without --frozen the first call records it; commit the lock file then"
	}
	wrong, ok := errors.AsType[*dlmanager.ChecksumError](err)
	if !ok || wrong.Lock == "" {
		return ""
	}
	return "what the URL brings has changed since it was locked: if that is right, remove " + wrong.Lock + ", and the next call locks it anew"
}
