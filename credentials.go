package dlmanager

import (
	"errors"
	"io"
	iofs "io/fs"
	"net/url"
	"os"
	"runtime"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/internal/netrc"
)

// DefaultNetrcPath returns where people keep the credentials that [WithNetrc]
// reads: the file that the variable NETRC names, else .netrc in the home
// directory, on Windows _netrc there. It is "" when there is no home.
func DefaultNetrcPath() string {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // as in a service; NETRC may be set all the same
	}
	return netrc.DefaultPath(os.Getenv, runtime.GOOS, home)
}

// NetrcError is the failure to read a netrc file. It tells nothing of what is in
// the file.
type NetrcError struct {
	Path string // as given to WithNetrc
	Err  error  // what the system says, or which line is wrong, and how
}

func (e *NetrcError) Error() string { return "read netrc file " + e.Path + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *NetrcError) Unwrap() error { return e.Err }

// findCredentials sets what is asked for: the URL, with what the netrc file says
// of its host if the caller does not say who he is. It reads the file once.
func (l *life) findCredentials() error {
	if l.asked != nil {
		return nil
	}
	asked := *l.url
	if l.cfg.netrc != "" && asked.User == nil && l.cfg.header.Get("Authorization") == "" {
		user, err := lookupNetrc(l.cfg.fs, l.cfg.netrc, asked.Hostname())
		if err != nil {
			return &NetrcError{Path: l.cfg.netrc, Err: err}
		}
		asked.User = user
	}
	l.asked = &asked
	return nil
}

// lookupNetrc returns what the file says of the host; nil: nothing, or there is
// no file.
func lookupNetrc(fsys afero.Fs, path, host string) (*url.Userinfo, error) {
	if path == os.DevNull {
		return nil, nil // how people say that there is none
	}
	text, err := readNetrc(fsys, path)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	file, err := netrc.Parse(text)
	if err != nil {
		return nil, err
	}
	if login, password, ok := file.Lookup(host); ok {
		return url.UserPassword(login, password), nil
	}
	return nil, nil
}

// maxNetrc is far beyond what people write, and keeps a mistaken path from being
// read for ever.
const maxNetrc = 1 << 20

var errNoNetrc = errors.New("not a regular file of a sensible size")

// readNetrc reads the file. It opens no pipe, which may wait for its other end for
// ever.
func readNetrc(fsys afero.Fs, path string) ([]byte, error) {
	fi, err := fsys.Stat(path)
	if err != nil {
		return nil, reasonOf(err)
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxNetrc {
		return nil, errNoNetrc
	}
	f, err := fsys.Open(path)
	if err != nil {
		return nil, reasonOf(err)
	}
	defer f.Close() // read-only: nothing to lose
	text, err := io.ReadAll(io.LimitReader(f, maxNetrc))
	return text, reasonOf(err)
}

// reasonOf returns err without the path, which its reader knows.
func reasonOf(err error) error {
	if failed, ok := errors.AsType[*iofs.PathError](err); ok {
		return failed.Err
	}
	return err
}
