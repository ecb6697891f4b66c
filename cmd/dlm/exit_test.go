package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	iofs "io/fs"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager"
)

func status(code int) error { return &dlmanager.StatusError{Code: code} }

func onTheWay(err error) error { return &dlmanager.TransferError{Op: "get", Err: err} }

func failed(errs ...error) error {
	var all fetchErrors
	for _, err := range errs {
		all = append(all, &fetchError{err})
	}
	return all
}

func TestExitCode(t *testing.T) {
	noSpace := &iofs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"none":                   {nil, 0},
		"unknown":                {errors.New("what"), 1},
		"not locked":             {failed(&dlmanager.NotLockedError{}), 5},
		"bad lock file":          {fmt.Errorf("x: %w", &dlmanager.LockFileError{}), 2},
		"usage":                  {&usageError{text: "x"}, 2},
		"several usages":         {usageErrors{&usageError{text: "x"}, &usageError{text: "y"}}, 2},
		"URL":                    {&dlmanager.URLError{}, 2},
		"name":                   {fmt.Errorf("x: %w", dlmanager.ErrInvalidName), 2},
		"name taken":             {&dlmanager.NameTakenError{}, 2},
		"404":                    {status(404), 3},
		"410":                    {status(410), 3},
		"401":                    {status(401), 9},
		"403":                    {status(403), 9},
		"407":                    {status(407), 9},
		"408":                    {status(408), 4},
		"425":                    {status(425), 4},
		"429":                    {status(429), 4},
		"500":                    {status(500), 4},
		"503":                    {status(503), 4},
		"400":                    {status(400), 1},
		"max time":               {&maxTimeError{time.Second}, 4},
		"deadline":               {context.DeadlineExceeded, 4},
		"stall":                  {onTheWay(dlmanager.ErrStalled), 4},
		"refused connection":     {onTheWay(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), 4},
		"reset":                  {onTheWay(&net.OpError{Op: "read", Err: syscall.ECONNRESET}), 4},
		"name server":            {onTheWay(&net.DNSError{IsTemporary: true}), 4},
		"no such host":           {onTheWay(&net.DNSError{IsNotFound: true}), 1},
		"too large":              {onTheWay(dlmanager.ErrTooLarge), 1},
		"certificate":            {onTheWay(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), 1},
		"TLS alert":              {onTheWay(&net.OpError{Op: "remote error", Err: tls.AlertError(40)}), 1},
		"no TLS there":           {onTheWay(tls.RecordHeaderError{}), 1},
		"no space":               {noSpace, 6},
		"permission":             {&iofs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, 6},
		"rename":                 {&os.LinkError{Op: "rename", Err: syscall.EIO}, 6},
		"bare number":            {fmt.Errorf("x: %w", syscall.EDQUOT), 6},
		"not a cache":            {dlmanager.ErrNotCacheDir, 8},
		"nobody reads":           {&iofs.PathError{Op: "write", Path: "stdout", Err: brokenPipe}, 1},
		"interrupted":            {&stopped{syscall.SIGINT}, 130},
		"terminated":             {&stopped{syscall.SIGTERM}, 143},
		"one of a kind":          {failed(status(404)), 3},
		"several of a kind":      {failed(status(404), status(410)), 3},
		"several kinds":          {failed(status(404), status(503)), 1},
		"interrupted among many": {failed(status(404), &stopped{syscall.SIGINT}), 130},
		"failed, and unprinted":  {errors.Join(failed(noSpace), noSpace), 6},
		"all sources gone":       {failed(sources(status(404), status(410))), 3},
		"a source may come back": {failed(sources(status(404), status(503))), 4},
		"sources, differently":   {failed(sources(status(404), status(401))), 1},
		"files with sources":     {failed(sources(status(404), status(503)), sources(status(503))), 4},
		"with its clean-up":      {failed(errors.Join(status(404), noSpace)), 3},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, exitCode(c.err)) })
	}
}

func sources(errs ...error) error { return &dlmanager.SourcesError{Errs: errs} }

func TestEveryExitCodeIsDocumented(t *testing.T) {
	for _, code := range []int{
		codeOK, codeFailure, codeUsage, codeNotFound, codeTemporary, codeDisk, codeNotOurs, codeRefused,
		(&stopped{syscall.SIGINT}).code(), (&stopped{syscall.SIGTERM}).code(),
	} {
		require.Contains(t, exitCodesHelp, fmt.Sprintf("\n%5d  ", code))
	}
}
