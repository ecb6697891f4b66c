package unpack

import (
	"archive/zip"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// recordBytes is what a directory has for an entry: 46 bytes and the name. In memory it
// takes up to six times as much.
const recordBytes = 128

// zip unpacks a zip archive, zip64 too: stored and deflated entries, in the order of its
// directory. Whether it may be unpacked is known, as far as it can be, before it is.
func (x *extraction) zip() error {
	dir := &directoryReader{src: x.src, left: roomFor(x.limits.maxEntries, recordBytes)}
	r, err := zip.NewReader(dir, x.src.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // what is insecure is refused below
		return x.readError("", err)
	}
	dir.left = none
	if most := x.limits.maxEntries; int64(len(r.File)) > most {
		x.limits.entries = most
		return x.limits.addEntry(r.File[most].Name, "")
	}
	if err := x.checkZip(r.File); err != nil {
		return err
	}
	for _, f := range r.File {
		if err := x.addZipEntry(f); err != nil {
			return err
		}
	}
	return x.tree.makeLinks(x.ctx)
}

// directoryReader reads an archive as long as it takes no more than left bytes: the
// directory is read at once, and into memory.
type directoryReader struct {
	src  *source
	left int64
}

func (d *directoryReader) ReadAt(b []byte, at int64) (int, error) {
	if d.left != none {
		if d.left -= int64(len(b)); d.left < 0 {
			return 0, &LimitError{Limit: "MaxEntries", reason: "its directory is too large for the entries that are allowed"}
		}
	}
	return d.src.ReadAt(b, at)
}

// zipRecord is the part of a local header that does not vary, in bytes (APPNOTE 4.3.7).
const zipRecord = 30

// checkZip refuses archives with entries that nobody can read without a password, and
// with entries that share bytes: those make a kilobyte come to petabytes (Fifield,
// "A better zip bomb", 2019).
func (x *extraction) checkZip(files []*zip.File) error {
	type span struct {
		from, to int64
		name     string
	}
	spans := make([]span, 0, len(files))
	for _, f := range files {
		const encrypted, strong, masked = 1 << 0, 1 << 6, 1 << 13 // APPNOTE 4.4.4
		if f.Flags&(encrypted|strong|masked) != 0 {
			return refuse(f.Name, "it is encrypted")
		}
		at, err := f.DataOffset()
		if err != nil {
			return x.readError(f.Name, err)
		}
		if f.CompressedSize64 > uint64(max(0, x.src.size-at)) {
			x.at = at
			return x.readError(f.Name, errors.New("its data go on after the end of the file"))
		}
		spans = append(spans, span{at - zipRecord, at + int64(f.CompressedSize64), f.Name})
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for i := 1; i < len(spans); i++ {
		if before := spans[i-1]; spans[i].from < before.to {
			return refuse(spans[i].name, "it shares bytes with entry "+quoted(before.name)+", as bombs do")
		}
	}
	return nil
}

func (x *extraction) addZipEntry(f *zip.File) (err error) {
	if x.at, err = f.DataOffset(); err != nil {
		return x.readError(f.Name, err)
	}
	e := entry{name: f.Name, size: int64(min(f.UncompressedSize64, uint64(none))), mode: f.Mode(), modTime: f.Modified}
	if e.modTime.Before(earliestZip) {
		e.modTime = time.Time{}
	}
	const unix, darwin = 3, 19 // APPNOTE 4.4.2
	if system := f.CreatorVersion >> 8; system != unix && system != darwin || f.ExternalAttrs>>16 == 0 {
		e.noMode, e.mode = true, e.mode.Type()
	}
	switch e.mode.Type() {
	case os.ModeDir:
		if e.kind = folder; e.size > 0 {
			return refuse(f.Name, "it is a folder that has content")
		}
		return x.add(e, nil)
	case os.ModeSymlink:
		e.kind = symlink
	case 0:
		e.kind = regular
	default:
		return refuse(f.Name, "it is not a file, folder or link")
	}
	content, err := f.Open()
	if errors.Is(err, zip.ErrAlgorithm) {
		return refuse(f.Name, fmt.Sprintf("it is compressed by method %d; only stored and deflated entries can be read", f.Method))
	}
	if err != nil {
		return x.readError(f.Name, err)
	}
	defer content.Close() // read only
	if e.kind == symlink {
		if e.target, err = x.zipTarget(e, content); err != nil {
			return err
		}
	}
	return x.add(e, content)
}

// earliestZip is the beginning of the time of MS-DOS, in which zip archives have it:
// what lies before is none.
var earliestZip = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// zipTarget reads where a link leads, which is its content.
func (x *extraction) zipTarget(e entry, content io.Reader) (string, error) {
	if e.size > maxTarget {
		return "", refuse(e.name, "it is a link, and its target is too long")
	}
	n, err := x.fill(e, 0, content)
	if err != nil && !isEOF(err) {
		return "", err
	}
	return string(x.buf[:n]), nil
}
