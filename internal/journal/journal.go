// Package journal keeps an append-only file of checksummed records.
//
// Several processes may append at once: a record is one write to a file opened
// for appending. A record that is torn, by a crash or a full disk, is passed
// over when the file is read; what follows it is found again. A journal is a
// hint: nobody may depend on a record being there.
//
// On disk a record is
//
//	magic   2 bytes   0xD1 0x4A
//	length  uint16    of the payload, little endian
//	crc     uint32    CRC-32C of length and payload, little endian
//	payload length bytes
package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"github.com/spf13/afero"
)

// MaxPayload is the longest payload of one record, in bytes.
const MaxPayload = 1<<16 - 1

const headerSize = 8

var (
	magic      = [2]byte{0xD1, 0x4A}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// ErrTooLong is returned for a payload over MaxPayload.
var ErrTooLong = errors.New("journal record too long")

// AppendRecord appends the record that holds payload to b.
func AppendRecord(b, payload []byte) ([]byte, error) {
	if len(payload) > MaxPayload {
		return b, ErrTooLong
	}
	b = append(b, magic[0], magic[1])
	b = binary.LittleEndian.AppendUint16(b, uint16(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, checksum(payload))
	return append(b, payload...), nil
}

func checksum(payload []byte) uint32 {
	var n [2]byte
	binary.LittleEndian.PutUint16(n[:], uint16(len(payload)))
	return crc32.Update(crc32.Update(0, castagnoli, n[:]), castagnoli, payload)
}

// next finds the first whole record in b. It returns its payload and how many
// bytes of b are used up with it; ok is false when b holds none, and then used
// says how many bytes cannot be the start of one. What may be a record whose end
// is still to come is waited for, unless b is the last there is: then it is a
// torn one, and a record may follow it.
func next(b []byte, last bool) (payload []byte, used int, ok bool) {
	for at := 0; at < len(b); at++ {
		if b[at] != magic[0] || (at+1 < len(b) && b[at+1] != magic[1]) {
			continue
		}
		rest := b[at:]
		n := 0
		if len(rest) >= headerSize {
			n = int(binary.LittleEndian.Uint16(rest[2:]))
		}
		if len(rest) < headerSize+n {
			if last {
				continue
			}
			return nil, at, false
		}
		payload = rest[headerSize : headerSize+n]
		if binary.LittleEndian.Uint32(rest[4:]) == checksum(payload) {
			return payload, at + headerSize + n, true
		}
	}
	return nil, len(b), false
}

// Log is an open journal. It is safe for concurrent use.
type Log struct {
	fsys afero.Fs
	name string

	mu   sync.Mutex // guards all below
	file afero.File // nil until something is appended
}

// New returns the journal called name on fsys. Nothing is opened or made yet.
func New(fsys afero.Fs, name string) *Log { return &Log{fsys: fsys, name: name} }

// Append writes one record at the end, and makes the file when it is not there.
func (l *Log) Append(payload []byte) error {
	record, err := AppendRecord(make([]byte, 0, headerSize+len(payload)), payload)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.open(); err != nil {
		return err
	}
	if _, ok := l.file.(*os.File); !ok {
		// Elsewhere than on the operating system's file system, appending is not
		// a property of the open file.
		if _, err := l.file.Seek(0, io.SeekEnd); err != nil {
			return err
		}
	}
	_, err = l.file.Write(record)
	return err
}

// open opens the file that has the journal's name now: somebody may have
// replaced it by a compacted one, and what goes to the old one is lost.
func (l *Log) open() error {
	if l.file != nil {
		if l.isCurrent() {
			return nil
		}
		_ = l.file.Close() // each record was written whole or reported
		l.file = nil
	}
	if l.isForeign() {
		return &os.PathError{Op: "open", Path: l.name, Err: errForeign}
	}
	f, err := l.fsys.OpenFile(l.name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	l.file = f
	return err
}

var errForeign = errors.New("not a regular file: remove it")

// isForeign reports whether somebody put something else in the journal's place:
// a pipe would hold us for ever, and a link lead to another file.
func (l *Log) isForeign() bool {
	lstater, ok := l.fsys.(afero.Lstater)
	if !ok {
		return false
	}
	fi, _, err := lstater.LstatIfPossible(l.name)
	return err == nil && !fi.Mode().IsRegular()
}

func (l *Log) isCurrent() bool {
	if _, ok := l.file.(*os.File); !ok {
		return false // nothing else tells two files apart
	}
	there, err := l.fsys.Stat(l.name)
	if err != nil {
		return false
	}
	open, err := l.file.Stat()
	return err == nil && os.SameFile(there, open)
}

// Close closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.Close()
}

// readChunk is how much is read at a time: some thousand records.
const readChunk = 256 << 10

// Replay calls fn with the payload of every whole record of f from the offset
// from on. The payload is valid during the call only. It returns the offset where
// the last of them ended, to go on from, and how many there were.
func Replay(f io.ReaderAt, from int64, fn func(payload []byte)) (end int64, records int, err error) {
	var held []byte
	chunk := make([]byte, readChunk)
	end = from
	for at := from; ; {
		n, err := f.ReadAt(chunk, at)
		at += int64(n)
		last := errors.Is(err, io.EOF)
		held = append(held, chunk[:n]...)
		for {
			payload, used, ok := next(held, last)
			if !ok {
				held = held[:copy(held, held[used:])]
				break
			}
			fn(payload)
			records++
			held = held[used:]
			end = at - int64(len(held))
		}
		if last {
			return end, records, nil
		}
		if err != nil {
			return end, records, err
		}
	}
}
