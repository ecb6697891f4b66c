package dlmanager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/digest"
	"github.com/dlmanager/dlmanager/internal/transfer"
)

// ErrNotLocked is matched by the refusal of a URL that a frozen lock file does not
// have.
var ErrNotLocked = errors.New("not in the lock file")

// LockFile remembers what each URL brought first, so that it brings the same ever
// after: trust on first use. Give it to downloads with WithLockFile. The file is text,
// one line a URL, sorted, to be kept under version control with what needs the
// downloads; see docs/lock.md. All methods may be called at any time from any
// goroutine; several processes may use one file, and lose no line.
type LockFile struct {
	path   string // where it is
	shown  string // as given
	frozen bool
	fsys   afero.Fs
	turn   chan struct{} // holds one token while somebody writes

	mu   sync.Mutex  // guards all below
	text *lockText   // as it was read or written last; it is not changed any more
	next *lockCommit // gathers what is written next; nil: nothing
}

// lockCommit is what is written to the file at once.
type lockCommit struct {
	adds map[string]digest.Digest
	done chan struct{} // closed when err stands
	err  error
}

// LockOptions say how a lock file is used. The zero value records what it does not
// have yet.
type LockOptions struct {
	// Frozen refuses URLs that are not in the file, with ErrNotLocked, and never
	// writes it: as a test run should have it.
	Frozen bool
}

// maxLockFile bounds what is read: some 400,000 lines.
const maxLockFile = 64 << 20

// OpenLockFile reads the lock file at path. One that is not there is empty, and made
// when the first line is recorded; frozen, it is an os.ErrNotExist. A *LockFileError says which line is wrong.
func OpenLockFile(path string, o LockOptions) (*LockFile, error) {
	whole, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	l := &LockFile{path: whole, shown: path, frozen: o.Frozen, fsys: afero.NewOsFs(), turn: make(chan struct{}, 1)}
	if real, err := filepath.EvalSymlinks(whole); err == nil {
		l.path = real // it is the file that is replaced, not a link to it
	}
	l.text, err = l.read(&lockText{})
	return l, err
}

// read reads the file. What it holds need not be taken apart again if that is what it
// held before.
func (l *LockFile) read(before *lockText) (*lockText, error) {
	content, err := readLimited(l.fsys, l.path, maxLockFile)
	if errors.Is(err, os.ErrNotExist) && !l.frozen {
		content, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read lock file: %w", err)
	}
	if before.lines != nil && bytes.Equal(content, before.content) {
		return before, nil
	}
	return parseLock(l.shown, content)
}

// Lookup returns what the file has for a URL, "sha256:" and the digits, as far as it
// was read.
func (l *LockFile) Lookup(rawURL string) (sha256 string, ok bool) {
	u, err := parseURL(rawURL)
	if err != nil {
		return "", false
	}
	line, ok := l.find(u)
	if !ok {
		return "", false
	}
	return line.digest.String(), true
}

func (l *LockFile) find(u *url.URL) (lockLine, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line, ok := l.text.lines[lockKey(u)]
	return line, ok
}

// place is where the line is, for messages.
func (l *LockFile) place(line lockLine) string { return l.shown + ":" + strconv.Itoa(line.number) }

// hold holds a digest against the file's, and records it if there is none. It returns
// when the line is on the disk.
func (l *LockFile) hold(ctx context.Context, u *url.URL, d digest.Digest) error {
	key := lockKey(u)
	for {
		line, known, c, first, err := l.join(key, d)
		switch {
		case err != nil:
			return err
		case known && line.digest == d:
			return nil
		case known:
			return &ChecksumError{URL: transfer.Redact(u), Want: line.digest.String(), Got: d.String(), Lock: l.place(line)}
		case first:
			l.commit(ctx, c)
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if c.err != nil && !errors.Is(c.err, errLeft) {
			return c.err
		}
	}
}

// errLeft is the end of a commit whose first one did not want to wait any more.
var errLeft = errors.New("lock file: not written")

// join returns the line of a key, or the commit that is going to write it. Who is the
// first of it has to see to that.
func (l *LockFile) join(key string, d digest.Digest) (line lockLine, known bool, c *lockCommit, first bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if line, known = l.text.lines[key]; known {
		return line, true, nil, false, nil
	}
	if l.frozen {
		return line, false, nil, false, &NotLockedError{File: l.shown, URL: key}
	}
	if first = l.next == nil; first {
		l.next = &lockCommit{adds: map[string]digest.Digest{}, done: make(chan struct{})}
	}
	if _, twice := l.next.adds[key]; !twice { // else it is compared with what is written
		l.next.adds[key] = d
	}
	return line, false, l.next, first, nil
}

// commit writes what has gathered when it is its turn.
func (l *LockFile) commit(ctx context.Context, c *lockCommit) {
	defer close(c.done)
	var ours bool
	select {
	case l.turn <- struct{}{}:
		ours = true
	case <-ctx.Done():
	}
	l.mu.Lock()
	l.next = nil // who comes now is written with the next one
	l.mu.Unlock()
	if !ours {
		c.err = errLeft
		return
	}
	defer func() { <-l.turn }()
	c.err = l.write(ctx, c.adds)
	if c.err != nil && ctx.Err() != nil {
		c.err = errLeft
	}
}

// write adds lines to the file as it is by now, and reads it. What others have recorded
// meanwhile stays.
func (l *LockFile) write(ctx context.Context, adds map[string]digest.Digest) error {
	l.mu.Lock()
	text := l.text
	l.mu.Unlock()
	err := fs.Update(ctx, l.fsys, l.path, defaultMode, func() ([]byte, error) {
		now, err := l.read(text)
		if err != nil {
			return nil, err
		}
		if text = now.with(adds); text == now {
			return nil, nil
		}
		return text.content, nil
	})
	if err != nil {
		return fmt.Errorf("write lock file: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = text
	return nil
}

// NotLockedError is ErrNotLocked with the URL.
type NotLockedError struct {
	File string // as given to OpenLockFile
	URL  string // as it would stand in the file, without secrets
}

func (e *NotLockedError) Error() string { return e.URL + ": not in the lock file " + e.File }

// Is makes it match ErrNotLocked.
func (e *NotLockedError) Is(target error) bool { return target == ErrNotLocked }
