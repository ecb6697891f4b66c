package fs

import (
	"cmp"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"sort"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/internal/journal"
)

// table is an index on disk: what it says holds up to a place in the journal. Who
// looks up one entry reads a page or two of it, and of the journal only what came
// since; of a million files the whole journal would take most of a second.
//
// It consists of pages of 4 KiB, each ending in its CRC-32C, so that one can be
// trusted without reading the others. The first is the head:
//
//	magic  8 bytes   "dlmtable"
//	format uint32    1
//	salt   16 bytes  of the hashes
//	count  uint64    of the slots
//	at     uint64    where the last record of the journal lay that is in it
//	record 8 bytes   the beginning of that record, which has its checksum
//
// In the others lie the slots of the index in the order of their hashes, 170 a
// page, 24 bytes each. All numbers are little endian.
type table struct {
	file  afero.File
	salt  [saltSize]byte
	count int
	mark  journal.Mark
}

const (
	tableFile   = ownDir + "/entries.table"
	tableMagic  = "dlmtable"
	tableFormat = 1
	pageSize    = 4096
	pageData    = pageSize - 4
	slotSize    = 24
	pageSlots   = pageData / slotSize
)

var errBadTable = errors.New("the table of entries is damaged")

// openTable opens the table called name, and trusts its head alone.
func openTable(fsys afero.Fs, name string) (*table, error) {
	f, err := openOwn(fsys, name)
	if err != nil {
		return nil, err
	}
	t := &table{file: f}
	if err := t.readHead(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return t, nil
}

func (t *table) close() error { return t.file.Close() }

func (t *table) readHead() error {
	fi, err := t.file.Stat()
	if err != nil {
		return err
	}
	var page [pageSize]byte
	if err := readPage(t.file, 0, &page); err != nil {
		return err
	}
	count, at := binary.LittleEndian.Uint64(page[28:]), binary.LittleEndian.Uint64(page[36:])
	if string(page[:8]) != tableMagic || binary.LittleEndian.Uint32(page[8:]) != tableFormat ||
		count == 0 || at >= goneAt ||
		// No record is as short as a slot, so this also bounds the memory for a table
		// that lies.
		count > at/slotSize+1 || int64(count) > (fi.Size()/pageSize-1)*pageSlots {
		return errBadTable
	}
	t.salt, t.count = [saltSize]byte(page[12:]), int(count)
	t.mark = journal.Mark{At: int64(at), Head: [8]byte(page[44:])}
	return nil
}

// readPage reads a page and holds it against its CRC.
func readPage(f io.ReaderAt, n int, page *[pageSize]byte) error {
	if _, err := f.ReadAt(page[:], int64(n)*pageSize); err != nil {
		if errors.Is(err, io.EOF) {
			return errBadTable
		}
		return err
	}
	if crc32.Checksum(page[:pageData], castagnoli) != binary.LittleEndian.Uint32(page[pageData:]) {
		return errBadTable
	}
	return nil
}

// leaf is a page of slots.
type leaf struct {
	page [pageSize]byte
	n    int
}

func (t *table) leaves() int { return (t.count + pageSlots - 1) / pageSlots }

func (t *table) readLeaf(n int, l *leaf) error {
	l.n = min(pageSlots, t.count-n*pageSlots)
	return readPage(t.file, n+1, &l.page)
}

func (l *leaf) hash(i int) uint64 { return binary.LittleEndian.Uint64(l.page[i*slotSize:]) }

func (l *leaf) slot(i int) indexSlot {
	b := l.page[i*slotSize:]
	return indexSlot{
		hash: l.hash(i), packed: binary.LittleEndian.Uint64(b[8:]) &^ seenBit,
		low: binary.LittleEndian.Uint32(b[16:]), used: binary.LittleEndian.Uint32(b[20:]),
	}
}

// find returns what the table says under the hash. Hashes are spread evenly, so
// the page is where its place among all hashes says, or a few pages beside.
func (t *table) find(h uint64) (indexed, bool, error) {
	var l leaf
	way := 0 // in which direction the page is: back, ahead, or not known yet
	for n := placeOf(h, t.leaves()); n >= 0 && n < t.leaves(); n += way {
		if err := t.readLeaf(n, &l); err != nil {
			return indexed{}, false, err
		}
		i := sort.Search(l.n, func(i int) bool { return l.hash(i) >= h })
		switch {
		case i < l.n && l.hash(i) == h:
			s := l.slot(i)
			return s.indexed(), true, nil
		case i == 0 && way <= 0:
			way = -1
		case i == l.n && way >= 0:
			way = 1
		default: // it would be between two that are there
			return indexed{}, false, nil
		}
	}
	return indexed{}, false, nil
}

// load returns all of it as an index.
func (t *table) load() (*index, error) {
	x := newIndex(t.salt)
	x.reserve(t.count)
	var l leaf
	for n := range t.leaves() {
		if err := t.readLeaf(n, &l); err != nil {
			return nil, err
		}
		for i := range l.n {
			if s := l.slot(i); s.hash != 0 {
				x.set(s)
			}
		}
	}
	return x, nil
}

// tableWriter is at work on a new table.
type tableWriter struct {
	to  io.WriterAt
	buf []byte
	off int64
}

// writeTable writes an index that holds up to the mark.
func writeTable(to io.WriterAt, m journal.Mark, x *index) error {
	slots := make([]indexSlot, 0, x.n)
	for _, s := range x.slots {
		if s.hash != 0 {
			slots = append(slots, s)
		}
	}
	slices.SortFunc(slots, func(a, b indexSlot) int { return cmp.Compare(a.hash, b.hash) })
	w := &tableWriter{to: to}
	head := append([]byte(nil), tableMagic...)
	head = binary.LittleEndian.AppendUint32(head, tableFormat)
	head = append(head, x.salt[:]...)
	head = binary.LittleEndian.AppendUint64(head, uint64(len(slots)))
	head = binary.LittleEndian.AppendUint64(head, uint64(m.At))
	if err := w.page(append(head, m.Head[:]...)); err != nil {
		return err
	}
	var data []byte
	for some := range slices.Chunk(slots, pageSlots) {
		data = data[:0]
		for _, s := range some {
			data = binary.LittleEndian.AppendUint64(data, s.hash)
			data = binary.LittleEndian.AppendUint64(data, s.packed&^seenBit)
			data = binary.LittleEndian.AppendUint32(data, s.low)
			data = binary.LittleEndian.AppendUint32(data, s.used)
		}
		if err := w.page(data); err != nil {
			return err
		}
	}
	return w.flush()
}

// tableChunk is how much of a table is written at a time.
const tableChunk = 64 * pageSize

func (w *tableWriter) page(data []byte) error {
	var page [pageSize]byte
	copy(page[:pageData], data)
	binary.LittleEndian.PutUint32(page[pageData:], crc32.Checksum(page[:pageData], castagnoli))
	if w.buf = append(w.buf, page[:]...); len(w.buf) < tableChunk {
		return nil
	}
	return w.flush()
}

func (w *tableWriter) flush() error {
	n, err := w.to.WriteAt(w.buf, w.off)
	w.off, w.buf = w.off+int64(n), w.buf[:0]
	return err
}
