package main

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/batch"
)

// hintFor says what a person can do about err, "" if there is nothing.
func hintFor(err error) string {
	if usage, ok := errors.AsType[*usageError](err); ok {
		return usage.hint
	}
	if told, ok := errors.AsType[*hinted](err); ok {
		return told.hint
	}
	if unfinished, ok := errors.AsType[*unfinished](err); ok {
		return bytesText(unfinished.kept) + " are kept: the same command goes on from there"
	}
	if program, ok := errors.AsType[*notStarted](err); ok {
		return program.hint()
	}
	if sources, ok := errors.AsType[*dlmanager.SourcesError](err); ok {
		if !slices.ContainsFunc(sources.Errs, func(err error) bool { return lockHint(err) == "" }) {
			return lockHint(err) // all of them have something else
		}
		if dlmanager.IsTemporary(sources) {
			return "trying again later may help"
		}
		return "none of the sources has it: another --mirror may"
	}
	if status, ok := errors.AsType[*dlmanager.StatusError](err); ok {
		return statusHint(status)
	}
	if _, netrc := errors.AsType[*dlmanager.NetrcError](err); netrc {
		return "mend the file, or do without it: --no-netrc"
	}
	if missing, ok := errors.AsType[*dlmanager.NotCachedError](err); ok && missing.Offline {
		return "without --offline it is fetched"
	}
	if hint := lockHint(err); hint != "" {
		return hint
	}
	switch {
	case errors.Is(err, batch.ErrListChanged):
		return "--accept-changes goes on with the list as it is now; --restart begins anew, and what is there is not fetched again"
	case errors.Is(err, batch.ErrInUse):
		return "another run has it: wait for that, or name another directory with --job DIR"
	case isOtherJob(err):
		return "--restart begins anew, and what is there is not fetched again; --job DIR names another directory"
	case errors.Is(err, dlmanager.ErrNotCacheDir):
		return "--adopt makes it a cache with all that is in it; --cache-dir DIR takes another directory"
	case errors.Is(err, dlmanager.ErrNameTaken), errors.Is(err, dlmanager.ErrInvalidName):
		return "--name NAME gives the file another name in the cache"
	case isNoCache(err):
		return "--cache-dir DIR names another directory"
	case errors.Is(err, dlmanager.ErrNotCached):
		return "dlm cache ls lists what is in the cache"
	case errors.Is(err, dlmanager.ErrChecksum):
		return "nothing was kept; compare the checksum with the publisher's, or take another --mirror"
	case isOverLimit(err):
		return "dlm cache limit SIZE changes the limit, --size-limit that of one run"
	case errors.Is(err, os.ErrExist):
		return "-o DIR names another place; without it the directory is used in the cache"
	case errors.Is(err, dlmanager.ErrTooLarge):
		return "--max-size SIZE allows more"
	case errors.Is(err, dlmanager.ErrStalled):
		return "--stall-timeout DURATION waits longer for a silent server"
	case isMaxTime(err):
		return "--max-time DURATION allows more"
	case isUnknownAuthority(err):
		return "--cacert FILE trusts the authority whose certificate is in FILE"
	case isDisk(err):
		return diskHint(err)
	case dlmanager.IsTemporary(err):
		return "trying again later may help"
	default:
		return ""
	}
}

// hinted is an error with a hint of its own.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// unfinished is a failure after which another call can go on.
type unfinished struct {
	error
	kept int64 // bytes
}

func (e *unfinished) Unwrap() error { return e.error }

func withKept(err error, kept int64) error {
	if kept == 0 || !dlmanager.IsTemporary(err) {
		return err
	}
	return &unfinished{err, kept}
}

func statusHint(e *dlmanager.StatusError) string {
	switch {
	case e.Exhausted && e.RetryAfter == 0:
		return "the server counts requests, and there were too many: try again later"
	case (e.Code == 401 || e.Code == 403) && !dlmanager.IsTemporary(e):
		return "the server wants credentials, or others: --header 'Authorization: …', or a netrc file"
	case e.Code == 407:
		return "the proxy wants credentials: put user:password@ before its host in HTTPS_PROXY"
	case e.RetryAfter > 0:
		return fmt.Sprintf("the server asks to try again in %s", span(e.RetryAfter))
	case dlmanager.IsTemporary(e):
		return "trying again later may help"
	default:
		return ""
	}
}

// diskHint names the place, because the message of a failed write names a
// temporary file.
func diskHint(err error) string {
	where := "the directory"
	if path := pathOf(err); path == os.Stdout.Name() {
		return "" // the shell put it there
	} else if path != "" {
		where = filepath.Dir(path)
	}
	switch {
	case isNoSpace(err):
		return "there is no space left in " + where + ": free some, or take another directory"
	case errors.Is(err, iofs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "files cannot be written in " + where + ": take another directory (--cache-dir, -o)"
	default:
		return ""
	}
}

func pathOf(err error) string {
	if e, ok := errors.AsType[*iofs.PathError](err); ok {
		return e.Path
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.New
	}
	return ""
}

// errorDiskFull is ENOSPC as Windows says it.
const errorDiskFull = syscall.Errno(112)

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		(filepath.Separator == '\\' && errors.Is(err, errorDiskFull))
}

func isOverLimit(err error) bool {
	_, ok := errors.AsType[*dlmanager.DirTooLargeError](err)
	return ok
}
