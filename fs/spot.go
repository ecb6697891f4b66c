package fs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"github.com/spf13/afero"
)

// ErrHeld says that somebody else is at work on the partial file: another
// process, or another manager in this one.
var ErrHeld = errors.New("somebody else is fetching it")

var (
	errForeign = errors.New("partial file is not one to go on with")
	errUnknown = errors.New("nobody can tell whether the partial file is in use")
)

// Spot is where the partial file of one destination lies, with its note beside.
type Spot struct {
	fsys  afero.Fs
	dir   string // of the partial file
	stem  string // of its name
	final string
	home  string // the cache directory, for messages; "": none
	// suspect says that there may be a note without a partial file, which would be
	// taken for the next one's.
	suspect bool
}

// ownSpot is the spot of one of the cache's own files.
func ownSpot(fsys afero.Fs, name string) Spot {
	return Spot{fsys: fsys, dir: partialDir, stem: key(name), final: name}
}

// Create returns the destination's partial file, locked: the one that is there,
// if accept agrees to its note and its size, else a new, empty one. It returns
// ErrHeld while somebody else has it. accept nil refuses all. perm counts before
// the umask, and only for a new one.
func (s Spot) Create(perm os.FileMode, accept func(note []byte, size int64) bool) (*Partial, error) {
	return s.create(s.stem, perm, accept)
}

// CreateApart returns a new partial file that is nobody else's, whoever is at
// work on the destination. It cannot be kept.
func (s Spot) CreateApart(perm os.FileMode) (*Partial, error) {
	return s.create(s.stem+"-"+randomHex(), perm, nil)
}

func (s Spot) create(stem string, perm os.FileMode, accept func([]byte, int64) bool) (*Partial, error) {
	for range maxCreateTries {
		p := s.partial(stem, perm)
		err := p.create()
		if errors.Is(err, os.ErrExist) {
			err = p.adopt(accept)
		}
		if errors.Is(err, errForeign) && p.remove() != nil {
			err = errUnknown
		}
		switch {
		case err == nil:
			if s.suspect && !p.adopted {
				p.note.remove()
			}
			return p, nil
		case errors.Is(err, errLost), errors.Is(err, errForeign):
		case errors.Is(err, errUnknown), errors.Is(err, ErrHeld) && stem != s.stem: // by a cleaner that looks at it
			stem = s.stem + "-" + randomHex()
		case errors.Is(err, os.ErrNotExist): // the folder is not there (any more)
			if err := s.makeFolder(); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
	}
	return nil, fmt.Errorf("create %s: somebody removes it again and again", s.at(stem, partialSuffix))
}

func (s Spot) makeFolder() error {
	err := makeFolder(s.fsys, s.dir)
	if s.home != "" && errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the cache directory %s was removed while in use, open it again: %w", s.home, err)
	}
	return err
}

func (s Spot) partial(stem string, perm os.FileMode) *Partial {
	p := &Partial{
		fsys: s.fsys, temp: s.at(stem, partialSuffix), final: s.final,
		perm: perm & os.ModePerm, began: time.Now(), replaces: s.home != "",
	}
	if stem == s.stem {
		p.beside = note{fsys: s.fsys, partial: p.temp}
		p.note = &p.beside
	}
	return p
}

// at returns the path of what lies there.
func (s Spot) at(stem, suffix string) string {
	if s.dir == partialDir { // as all of a cache's; path.Join takes longer
		return partialDir + "/" + stem + suffix
	}
	return path.Join(s.dir, stem+suffix)
}

// Pulse is what can be seen of a partial file that somebody else holds. While
// he is alive, it changes.
type Pulse struct {
	Written time.Time // when bytes were last stored, by the file system's clock
	Note    string
}

// Pulse returns the signs of life of the partial file's holder.
func (s Spot) Pulse() Pulse {
	var p Pulse
	temp := s.at(s.stem, partialSuffix)
	if fi, err := Lstat(s.fsys, temp); err == nil {
		p.Written = fi.ModTime()
	}
	n := note{fsys: s.fsys, partial: temp}
	p.Note = string(n.read())
	return p
}
