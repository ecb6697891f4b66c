package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	iofs "io/fs"
	"os"
	"syscall"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/batch"
)

// The exit codes. exitCodesHelp says the same to people.
const (
	codeOK         = 0
	codeFailure    = 1
	codeUsage      = 2
	codeNotFound   = 3
	codeTemporary  = 4
	codeChecksum   = 5
	codeDisk       = 6
	codeSomeFailed = 7
	codeNotOurs    = 8
	codeRefused    = 9
	codeNotInPlace = 10
	codeNoProgram  = 126 // as the shells, env(1) and nohup(1) have it
	signalBase     = 128
	exitCodesHelp  = `dlm ends with one of these codes:

    0  all files are there
    1  another failure, or failures of several kinds; also, without a message,
       when nobody reads the output any more
    2  the command line is wrong: a flag, a variable, the config file, the lock
       file, a URL or a name
    3  a file is not there: the server answered 404 or 410, or it is not in the
       cache
    4  trying again later may help: no connection, no address, a silent server,
       a connection that was cut, --max-time, or the server answered 408, 425,
       429, 500, 502, 503, 504, 522 or 524; or a batch stopped at one of its
       limits and the same command goes on
    5  a checksum is not what it should be, or what --lock has for the URL; or a
       URL is not in the lock file (--frozen)
    6  the disk: no space, no permission
    7  some links of a batch failed, or were evicted before it ended
    8  the directory, a file in it or a job is in use, or the directory is not
       ours; the job is another one's, or its list was changed; dlm sync would have
       had to replace a file that is not its own, or was changed
    9  the server refused: it answered 401, 403 or 407
   10  dlm sync --check: not all is in place
  126  the operating system does not execute the file (dlm exec)
  130  interrupted (Ctrl-C)
  143  terminated

When several files failed for the same reason, the code is the reason's. Once dlm
exec runs its program, the code is the program's.`
)

// usageError is a mistake on the command line, in a DLM_ variable or in the config
// file.
type usageError struct {
	text string
	hint string // what to do about it
}

func (e *usageError) Error() string { return e.text }

// fetchErrors is what failed of a call, each said when it happened.
type fetchErrors []error

func (e fetchErrors) Error() string   { return errors.Join(e...).Error() }
func (e fetchErrors) Unwrap() []error { return e }

// fetchError marks an error that has been said.
type fetchError struct{ error }

func (e *fetchError) Unwrap() error { return e.error }

// exitCode turns the outcome of the program into its exit code.
func exitCode(err error) int {
	if stop, ok := errors.AsType[*stopped](err); ok {
		return stop.code()
	}
	if ended, ok := errors.AsType[*programEnded](err); ok {
		return ended.code
	}
	if sources, ok := errors.AsType[*dlmanager.SourcesError](err); ok && !isSeveral(err) {
		return sourcesCode(sources)
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return commonCode(many.Unwrap())
	}
	return singleCode(err)
}

// isSeveral reports whether err is what failed of several files.
func isSeveral(err error) bool {
	_, sources := err.(*dlmanager.SourcesError)
	_, many := err.(interface{ Unwrap() []error })
	return many && !sources
}

// sourcesCode says that trying again may help if it may with one of the sources.
func sourcesCode(e *dlmanager.SourcesError) int {
	if dlmanager.IsTemporary(e) {
		return codeTemporary
	}
	return commonCode(e.Errs)
}

// commonCode is the code that all errors have, or codeFailure.
func commonCode(errs []error) int {
	code := exitCode(errs[0])
	for _, err := range errs[1:] {
		if exitCode(err) != code {
			return codeFailure
		}
	}
	return code
}

// singleCode is the one switch from errors to codes.
func singleCode(err error) int {
	switch {
	case err == nil:
		return codeOK
	case isBrokenPipe(err):
		return codeFailure
	case isUsage(err), errors.Is(err, batch.ErrNotList), isLockFile(err):
		return codeUsage
	case isIncomplete(err):
		return codeSomeFailed
	case isLimited(err):
		return codeTemporary
	case isNotInPlace(err):
		return codeNotInPlace
	case isNotStarted(err):
		return codeNoProgram
	case errors.Is(err, dlmanager.ErrNotCacheDir), errors.Is(err, dlmanager.ErrFormat), errors.Is(err, dlmanager.ErrInUse), isOtherJob(err), isOccupied(err):
		return codeNotOurs
	case errors.Is(err, dlmanager.ErrChecksum), errors.Is(err, dlmanager.ErrChecksumConflict), errors.Is(err, dlmanager.ErrNotLocked):
		return codeChecksum
	case errors.Is(err, dlmanager.ErrNotFound), errors.Is(err, dlmanager.ErrNotCached):
		return codeNotFound
	case isRefusal(err):
		return codeRefused
	case isTLS(err):
		return codeFailure
	case isMaxTime(err), dlmanager.IsTemporary(err):
		return codeTemporary
	case isDisk(err):
		return codeDisk
	default:
		return codeFailure
	}
}

func isUsage(err error) bool {
	_, flag := errors.AsType[*usageError](err)
	_, url := errors.AsType[*dlmanager.URLError](err)
	return flag || url || errors.Is(err, dlmanager.ErrInvalidName) || errors.Is(err, dlmanager.ErrInvalidChecksum) || errors.Is(err, dlmanager.ErrNameTaken)
}

func isNotStarted(err error) bool {
	_, ok := errors.AsType[*notStarted](err)
	return ok
}

// isRefusal reports whether a server or a proxy wants other credentials.
func isRefusal(err error) bool {
	status, ok := errors.AsType[*dlmanager.StatusError](err)
	return ok && (status.Code == 401 || status.Code == 403 || status.Code == 407) && !dlmanager.IsTemporary(status)
}

// isTLS reports whether the two sides do not trust or do not understand each
// other, which time does not mend.
func isTLS(err error) bool {
	_, alert := errors.AsType[tls.AlertError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, verify := errors.AsType[*tls.CertificateVerificationError](err)
	return alert || record || verify || isUnknownAuthority(err)
}

func isUnknownAuthority(err error) bool {
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	return unknown
}

func isMaxTime(err error) bool {
	_, ok := errors.AsType[*maxTimeError](err)
	return ok
}

// isDisk reports whether the operating system refused us a file. The same kinds
// of error come from the network, wrapped in a TransferError.
func isDisk(err error) bool {
	if _, network := errors.AsType[*dlmanager.TransferError](err); network {
		return false
	}
	_, path := errors.AsType[*iofs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	_, call := errors.AsType[*os.SyscallError](err)
	_, number := errors.AsType[syscall.Errno](err)
	return path || link || call || number
}
