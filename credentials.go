package dlmanager

import (
	"errors"
	"io"
	iofs "io/fs"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"sync"
	"time"

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

// netrcFresh is for how long what was read of a netrc file counts: a person who has
// changed it does not notice, and thousands of small files need not read it each.
const netrcFresh = time.Second

// netrcSource is a netrc file that downloads share.
type netrcSource struct {
	path string

	mu   sync.Mutex  // guards all below, also while the file is read: who needs it waits for that anyway
	file *netrc.File // as it was read last; nil: it was not
	at   time.Time   // when that was
}

// read returns what is in the file, or was a moment ago.
func (s *netrcSource) read(fsys afero.Fs) (*netrc.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.file != nil && now.Sub(s.at) < netrcFresh {
		return s.file, nil
	}
	file, err := openNetrc(fsys, s.path)
	if err != nil {
		s.file = nil
		return nil, &NetrcError{Path: s.path, Err: err}
	}
	s.file, s.at = file, now
	return file, nil
}

// withCredentials returns the URL with what the netrc file says of its host, if
// the header that is sent does not say who we are. A download goes by one state of
// the file.
func (l *life) withCredentials(u *url.URL, header http.Header) (*url.URL, error) {
	if l.cfg.netrc == nil || u.User != nil || header.Get("Authorization") != "" {
		return u, nil
	}
	if l.logins == nil {
		file, err := l.cfg.netrc.read(l.cfg.fs)
		if err != nil {
			return nil, err
		}
		l.logins = file
	}
	login, password, ok := l.logins.Lookup(u.Hostname())
	if !ok {
		return u, nil
	}
	asked := *u
	asked.User = url.UserPassword(login, password)
	return &asked, nil
}

// openNetrc reads the file; one that is not there is empty.
func openNetrc(fsys afero.Fs, path string) (*netrc.File, error) {
	text, err := readNetrc(fsys, path)
	if errors.Is(err, iofs.ErrNotExist) {
		return &netrc.File{}, nil
	}
	if err != nil {
		return nil, err
	}
	return netrc.Parse(text)
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
