package unpack

import (
	"io"
	"path"
	"strings"
)

// single makes one file of a compressed stream that is no tar archive.
func (x *extraction) single(f format, archive, header string, stream io.Reader) error {
	e := entry{name: singleName(f, archive, header), kind: regular, size: -1, noMode: true}
	if err := x.limits.addEntry(e.name, ""); err != nil {
		return err
	}
	name, err := cleanPath(e.name)
	if err != nil || name == "." {
		return refuse(e.name, "no file can have this name")
	}
	return x.addFile(name, e, stream)
}

// singleName returns what the file is called: as the archive, without the suffix; if it
// has none, as the header says, when that is a name.
func singleName(f format, archive, header string) string {
	for _, suffix := range suffixes[f] {
		if n := len(archive) - len(suffix); n > 0 && strings.EqualFold(archive[n:], suffix) {
			return archive[:n]
		}
	}
	base := path.Base(strings.ReplaceAll(header, `\`, "/"))
	if clean, err := cleanPath(base); err == nil && clean != "." {
		return clean
	}
	return archive
}
