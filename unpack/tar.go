package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
)

var errNoEnd = errors.New("the mark of its end is missing")

// tar unpacks a tar archive: v7, ustar, PAX, GNU and star, sparse files written in full.
// A plain one must have its end mark; when it was compressed, its decoder knows whether
// it is whole.
func (x *extraction) tar(stream io.Reader, plain bool) error {
	x.tree.replaces = true // as an archive to which tar has appended means it
	m := &metered{r: stream, limits: x.limits}
	r := tar.NewReader(m)
	last := ""
	for {
		header, err := r.Next()
		if isEOF(err) {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // what is insecure is refused below
			return x.readError(last, err)
		}
		last = header.Name
		if err := x.addTarEntry(header, r); err != nil {
			return err
		}
	}
	if plain && !m.endsInZeros() {
		return x.readError(last, errNoEnd)
	}
	if err := x.drain(m); err != nil {
		return err
	}
	return x.tree.makeLinks(x.ctx)
}

func (x *extraction) addTarEntry(h *tar.Header, r io.Reader) error {
	e := entry{name: h.Name, size: h.Size, target: h.Linkname, mode: h.FileInfo().Mode(), modTime: h.ModTime}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		e.kind = regular
	case tar.TypeDir:
		e.kind = folder
	case tar.TypeSymlink:
		e.kind = symlink
	case tar.TypeLink:
		e.kind = hardlink
	case tar.TypeXGlobalHeader:
		return x.limits.addEntry(h.Name, "") // git's, with the commit: nothing to unpack
	default:
		return refuse(h.Name, "it is "+tarKind(h.Typeflag)+", not a file, folder or link")
	}
	return x.add(e, r)
}

func tarKind(flag byte) string {
	switch flag {
	case tar.TypeChar, tar.TypeBlock:
		return "a device"
	case tar.TypeFifo:
		return "a named pipe"
	}
	return fmt.Sprintf("of the type %q", flag)
}

// drain reads what comes after the end mark: only then the decoder has checked all. It
// has to be zeros, which tar pads with.
func (x *extraction) drain(r io.Reader) error {
	for {
		n, err := x.fill(entry{}, 0, r)
		for _, c := range x.buf[:n] {
			if c != 0 {
				return x.readError("", errors.New("there is something after its end"))
			}
		}
		if isEOF(err) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
