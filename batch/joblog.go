package batch

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/internal/journal"
)

// ErrDamaged is matched when a job's log has lost what was safely on the disk.
var ErrDamaged = errors.New("the job's log is damaged: begin the job anew; what is in the cache is not fetched again")

const (
	// maxBody is how long the body of a record may be, so that it fits with what is
	// before it.
	maxBody = journal.MaxPayload - 1 - 2*binary.MaxVarintLen64
	// recordHeader is what the journal puts before a payload.
	recordHeader = 8
	// recordMark is what that begins with.
	recordMark = "\xd1\x4a"
)

// jobLog is the file that a job is in: records of [journal], each of which says
// where it is and how much of the file was flushed when it was written. What is
// behind a torn record counts for nothing, so that the log says at any time what
// was the case at one moment. If a whole record is behind it that says that the
// torn one had been flushed, it was not a crash that tore it.
//
// The job's mutex guards it.
type jobLog struct {
	file   afero.File
	size   int64 // of whole records
	synced int64 // bytes that are safe from a loss of power
	broken error // why nothing can be appended any more
}

// append writes a record and returns where its body begins. It stands when the
// process is killed, and when sync was called.
func (l *jobLog) append(kind byte, body []byte) (at int64, err error) {
	if l.broken != nil {
		return 0, l.broken
	}
	payload := make([]byte, 0, len(body)+32)
	payload = append(payload, kind)
	payload = binary.AppendUvarint(payload, uint64(l.size))
	payload = binary.AppendUvarint(payload, uint64(l.synced))
	before := len(payload)
	record, err := journal.AppendRecord(make([]byte, 0, len(payload)+len(body)+recordHeader), append(payload, body...))
	if err != nil {
		return 0, err
	}
	if _, err := l.file.WriteAt(record, l.size); err != nil {
		return 0, l.undo(err)
	}
	at = l.size + recordHeader + int64(before)
	l.size += int64(len(record))
	return at, nil
}

// undo removes what was written of a record.
func (l *jobLog) undo(err error) error {
	err = fmt.Errorf("save job: %w", err)
	if cut := l.file.Truncate(l.size); cut != nil {
		l.broken = errors.Join(err, cut)
	}
	return err
}

// replay calls apply with the records, and cuts off what is behind the last one
// that counts.
func (l *jobLog) replay(apply func(kind byte, at int64, body []byte) error) error {
	var failure error
	torn := false
	_, _, err := journal.Replay(context.Background(), l.file, 0, func(payload []byte, _ int64) {
		if failure != nil {
			return
		}
		kind, offset, synced, body, ok := splitPayload(payload)
		torn = torn || !ok || offset != l.size
		switch {
		case torn && ok && synced > l.size:
			failure = ErrDamaged
		case !torn:
			failure = apply(kind, offset+recordHeader+int64(len(payload)-len(body)), body)
			l.size += recordHeader + int64(len(payload))
		}
	})
	if err = errors.Join(failure, err); err != nil {
		return err
	}
	fi, err := l.file.Stat()
	if err == nil && fi.Size() > l.size {
		err = l.file.Truncate(l.size)
	}
	return err
}

func splitPayload(payload []byte) (kind byte, offset, synced int64, body []byte, ok bool) {
	d := decoder{rest: payload}
	kind = d.byte()
	offset, synced = int64(d.uvarint()), int64(d.uvarint())
	return kind, offset, synced, d.rest, !d.bad
}

// sync flushes the log.
func (l *jobLog) sync() error {
	size := l.size
	if l.synced >= size {
		return nil
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("save job: %w", err)
	}
	l.synced = size
	return nil
}

// openLog opens the log, or makes it.
func openLog(fsys afero.Fs, path string) (*jobLog, error) {
	if lstater, ok := fsys.(afero.Lstater); ok {
		fi, _, err := lstater.LstatIfPossible(path)
		if err == nil && !fi.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a regular file: remove it", path)
		}
	}
	f, err := fsys.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &jobLog{file: f}, nil
}

// isLog reports whether a file may be a log. What a crash leaves of the first record
// begins as that does, or with zeros.
func isLog(f afero.File) bool {
	var begin [len(recordMark)]byte
	n, _ := f.ReadAt(begin[:], 0)
	return bytes.HasPrefix([]byte(recordMark), begin[:n]) || bytes.Equal(begin[:n], make([]byte, n))
}
