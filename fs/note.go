package fs

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/afero"
)

// noteSuffix ends the name of the note beside a partial file.
const noteSuffix = ".json"

// maxNote bounds what is read of a note, which somebody else may have written.
const maxNote = 256 << 10

// note is a small file beside a partial file, written in place: it changes
// often, and each change is one short write, which a kill does not tear. After a
// power loss it may be torn; whoever reads it has to check.
//
// Who writes it holds the partial file's lock. A nil note cannot be written.
type note struct {
	fsys    afero.Fs
	partial string     // the name of the file beside it
	file    afero.File // nil until it is first written
	size    int        // of what was written
}

// name is put together when it is needed: most files are too small for a note.
func (n *note) name() string { return strings.TrimSuffix(n.partial, partialSuffix) + noteSuffix }

// read returns what is noted, without its padding; nil if nothing is, or if what
// lies there is no note of ours.
func (n *note) read() []byte {
	if n == nil {
		return nil
	}
	name := n.name()
	fi, err := Lstat(n.fsys, name)
	if err != nil || !isPlain(fi) || fi.Size() > maxNote {
		return nil
	}
	f, err := n.fsys.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil
	}
	defer f.Close() // read-only: nothing to lose
	text, err := io.ReadAll(io.LimitReader(f, maxNote))
	if err != nil {
		return nil
	}
	return bytes.TrimRight(text, " \n\x00")
}

// write replaces the note. A shorter one is padded: cutting the file would be a
// second step, and a kill could fall between the two.
func (n *note) write(text []byte) error {
	if n.file == nil {
		if err := n.open(); err != nil {
			return err
		}
	}
	if pad := n.size - len(text); pad > 0 {
		text = append(text[:len(text):len(text)], bytes.Repeat([]byte{' '}, pad)...)
	}
	_, err := n.file.WriteAt(text, 0)
	if err == nil {
		n.size = len(text)
	}
	return err
}

// open opens the note that is there, to be overwritten, or makes a new one. What
// is not ours to write is removed.
func (n *note) open() error {
	name := n.name()
	if fi, err := Lstat(n.fsys, name); err == nil {
		if isOurs(fi) && fi.Size() <= maxNote {
			f, err := n.fsys.OpenFile(name, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			if now, err := f.Stat(); err == nil && os.SameFile(fi, now) {
				n.file, n.size = f, int(fi.Size())
				return nil
			}
			_ = f.Close() // nothing was written
		}
		if err := n.fsys.Remove(name); err != nil {
			return err
		}
	}
	f, err := n.fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	n.file = f
	return nil
}

func (n *note) written() bool { return n != nil && n.file != nil }

func (n *note) close() error {
	if !n.written() {
		return nil
	}
	f := n.file
	n.file = nil
	return f.Close()
}

// drop removes the note, also one that was left by an earlier download.
func (n *note) drop() error {
	if n == nil {
		return nil
	}
	_ = n.close() // what it says does not count any more
	err := Remove(n.fsys, n.name())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// remove is drop where a note that stays does no harm: whoever reads it holds it
// against the file.
func (n *note) remove() { _ = n.drop() }
