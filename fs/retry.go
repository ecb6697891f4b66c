package fs

import (
	"time"

	"github.com/spf13/afero"
)

// Windows refuses to remove or rename a file while a virus scanner, an indexer
// or a late reader has it open; some network and FUSE file systems say EBUSY
// for as short a time. cmd/go waits up to 2 s for the same reason
// (internal/robustio); most cases are over within some 50 ms.
const (
	retryFirst = time.Millisecond
	retryTotal = 2 * time.Second
)

// Remove removes the file called name, and tries again while somebody else has
// it open for a moment.
func Remove(fsys afero.Fs, name string) error {
	return retryBusy(func() error { return fsys.Remove(name) })
}

// retryBusy runs op again, with growing pauses, while it fails as if somebody
// else had the file open for a moment.
func retryBusy(op func() error) error {
	return retryWith(op, time.Sleep)
}

func retryWith(op func() error, sleep func(time.Duration)) error {
	pause, left := retryFirst, retryTotal
	for {
		err := op()
		if err == nil || !isBusy(err) || left <= 0 {
			return err
		}
		sleep(pause)
		left -= pause
		pause *= 2
	}
}
