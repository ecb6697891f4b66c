// Package journal keeps an append-only file of checksummed records.
//
// Several processes may append at once, without a lock: a record is one write to
// a file opened for appending. A record that is torn, by a crash or a full disk,
// is passed over when the file is read; what follows it is found again. One
// process at a time may write the journal anew while the others go on appending
// ([Log.Compact]). A journal is a hint: nobody may depend on a record being there.
//
// On disk a record is
//
//	magic   2 bytes   0xD1 0x4A
//	length  uint16    of the payload, little endian
//	crc     uint32    CRC-32C of length and payload, little endian
//	payload length bytes
//
// A payload whose first byte is 0 is the journal's own: in a journal that was
// written anew the first record says how long it was then (8 bytes, little
// endian). Readers pass it over.
package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
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
	start := len(b)
	b = append(b, magic[0], magic[1])
	b = binary.LittleEndian.AppendUint16(b, uint16(len(payload)))
	b = append(b, 0, 0, 0, 0)
	b = append(b, payload...)
	record := b[start:] // whose payload is summed, so that the caller's may lie on its stack
	binary.LittleEndian.PutUint32(record[4:], checksum(record[2:4], record[headerSize:]))
	return b, nil
}

// checksum is that of a record: of its length, as it stands there, and its payload.
func checksum(length, payload []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, length), castagnoli, payload)
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
		if binary.LittleEndian.Uint32(rest[4:]) == checksum(rest[2:4], payload) {
			return payload, at + headerSize + n, true
		}
	}
	return nil, len(b), false
}

// readFirst is how much is read at first: mostly a few records came since the last
// time. readChunk is how much is read at a time after that: some thousand records.
const (
	readFirst = 4 << 10
	readChunk = 256 << 10
)

// Replay calls fn with the payload of every whole record of f from the offset
// from on, and with the record's own offset. The payload is valid during the call
// only. It returns the offset where the last of them ended, to go on from, and how
// many there were. When ctx ends, it returns its cause.
func Replay(ctx context.Context, f io.ReaderAt, from int64, fn func(payload []byte, at int64)) (end int64, records int, err error) {
	// What is held from one read to the next is less than a record.
	buf := make([]byte, readFirst)
	held := 0
	end = from
	for at := from; ; { // at is the offset of buf's beginning
		if ctx.Err() != nil {
			return end, records, context.Cause(ctx)
		}
		n, err := f.ReadAt(buf[held:], at+int64(held))
		last := errors.Is(err, io.EOF)
		rest := buf[:held+n]
		for {
			payload, used, ok := next(rest, last)
			rest, at = rest[used:], at+int64(used)
			if !ok {
				break
			}
			fn(payload, at-int64(headerSize+len(payload)))
			records++
			end = at
		}
		if last {
			return end, records, nil
		}
		if err != nil {
			return end, records, err
		}
		if len(buf) == readFirst {
			buf = make([]byte, readChunk+headerSize+MaxPayload)
		}
		held = copy(buf, rest)
	}
}

// ErrNoRecord says that there is no whole record at an offset.
var ErrNoRecord = errors.New("no record there")

// readAhead is how much is read of a record at first: most are shorter.
const readAhead = 512

// ReadRecord returns the payload of the record at the offset at.
func ReadRecord(f io.ReaderAt, at int64) ([]byte, error) {
	b := make([]byte, readAhead)
	n, err := f.ReadAt(b, at)
	if n < headerSize || [2]byte(b[:2]) != magic {
		return nil, noRecord(err)
	}
	length := headerSize + int(binary.LittleEndian.Uint16(b[2:]))
	if length > readAhead {
		b = append(make([]byte, 0, length), b[:n]...)[:length]
		more, moreErr := f.ReadAt(b[n:], at+int64(n))
		n, err = n+more, moreErr
	}
	if n < length || binary.LittleEndian.Uint32(b[4:]) != checksum(b[2:4], b[headerSize:length]) {
		return nil, noRecord(err)
	}
	return b[headerSize:length:length], nil
}

func noRecord(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrNoRecord
	}
	return err
}
