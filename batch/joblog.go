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

	payload, text []byte // of what is written: made once
}

// record is one of a log.
type record struct {
	kind byte
	body []byte
	at   int64 // where the body begins, once it was written
}

// append writes a record and returns where its body begins. It stands when the
// process is killed, and when sync was called.
func (l *jobLog) append(kind byte, body []byte) (at int64, err error) {
	records := [1]record{{kind: kind, body: body}}
	err = l.appendAll(records[:])
	return records[0].at, err
}

// appendAll is append of several records with one write. It sets where they are.
func (l *jobLog) appendAll(records []record) error {
	if l.broken != nil {
		return l.broken
	}
	l.text = l.text[:0]
	for i := range records {
		r := &records[i]
		at := l.size + int64(len(l.text))
		l.payload = append(l.payload[:0], r.kind)
		l.payload = appendUvarints(l.payload, uint64(at), uint64(l.synced))
		r.at = at + recordHeader + int64(len(l.payload))
		l.payload = append(l.payload, r.body...)
		var err error
		if l.text, err = journal.AppendRecord(l.text, l.payload); err != nil {
			return err
		}
	}
	if _, err := l.file.WriteAt(l.text, l.size); err != nil {
		return l.undo(err)
	}
	l.size += int64(len(l.text))
	return nil
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
