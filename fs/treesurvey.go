package fs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	iofs "io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// Survey is what there is in a tree.
type Survey struct {
	Bytes int64 // of the regular files
	Files int64
	// CRC32C is that of a list of all that is in the tree, in the order of the
	// names: what it is, its name, and for a file whether it can be executed, its
	// size and its content's CRC-32C, for a link where it leads.
	CRC32C uint32
}

// SurveyTree reads all of the tree.
func (d *Dir) SurveyTree(ctx context.Context, t Tree) (Survey, error) {
	if d.root == nil {
		return Survey{}, errors.ErrUnsupported
	}
	root, err := d.root.OpenRoot(filepath.FromSlash(treeDir + "/" + t.Folder))
	if err != nil {
		return Survey{}, err
	}
	s := surveyor{ctx: ctx, root: root}
	survey, err := s.run()
	return survey, errors.Join(err, root.Close())
}

// surveyor goes along a tree.
type surveyor struct {
	ctx    context.Context
	root   *os.Root
	filled bool // just now: what is wrong with it is refused
	found  Survey
}

func (s *surveyor) run() (Survey, error) {
	err := iofs.WalkDir(s.root.FS(), ".", func(name string, e iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		switch {
		case e.IsDir():
			return s.folder(name)
		case e.Type().IsRegular():
			return s.file(name)
		case e.Type() == os.ModeSymlink:
			return s.link(name)
		}
		return fmt.Errorf("%s: neither a file nor a folder nor a link", quoted(name))
	})
	return s.found, err
}

// add takes in one line of the list.
func (s *surveyor) add(kind byte, name, rest string) {
	line := append([]byte{kind}, filepath.ToSlash(name)...)
	line = append(append(append(line, 0), rest...), 0)
	s.found.CRC32C = crc32.Update(s.found.CRC32C, castagnoli, line)
}

func (s *surveyor) folder(name string) error {
	s.add('d', name, "")
	return nil
}

func (s *surveyor) file(name string) error {
	f, err := s.open(name)
	if err != nil {
		return err
	}
	defer f.Close() // read-only: nothing to lose
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if s.filled && fi.Mode()&0o111 != 0 {
		awaitNoWriter(f)
	}
	sum, size, err := CRC(s.ctx, f)
	if err != nil {
		return err
	}
	line := binary.LittleEndian.AppendUint64(nil, uint64(size))
	line = binary.LittleEndian.AppendUint32(line, sum)
	if fi.Mode()&0o111 != 0 && !isWindows {
		line = append(line, 'x')
	}
	s.add('f', name, string(line))
	s.found.Files++
	s.found.Bytes += size
	return nil
}

func (s *surveyor) open(name string) (*os.File, error) {
	if !s.filled {
		if f, err := s.root.OpenFile(name, os.O_RDONLY|nonblock|unused, 0); err == nil {
			return f, nil
		}
	}
	return s.root.OpenFile(name, os.O_RDONLY|nonblock, 0)
}

// link refuses a link that leads out of the tree, by itself or through others. One
// that leads to nothing does no harm.
func (s *surveyor) link(name string) error {
	target, err := s.root.Readlink(name)
	if err != nil {
		return err
	}
	s.add('l', name, filepath.ToSlash(target))
	if !s.filled {
		return nil
	}
	_, err = s.root.Stat(name)
	if err == nil || errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if errors.Is(err, syscall.ELOOP) && !s.leadsOut(name) {
		return nil
	}
	return fmt.Errorf("%s is a link to %s, which leads out of the directory, or cannot be followed: %w", quoted(name), quoted(target), err)
}

// mostHops is how many links of one path somebody may follow: 40 on Linux, 32 on
// macOS, 63 on Windows. Who goes through more has lost his way, and gets nowhere.
const mostHops = 64

// leadsOut goes where the link leads, part by part, as a kernel does: os.Root gives up
// after 8 links, when nobody can tell yet where the rest of the path is going to lead.
func (s *surveyor) leadsOut(link string) bool {
	at, rest := ".", strings.Split(link, "/")
	for hops := 0; len(rest) > 0 && hops <= mostHops; {
		part := rest[0]
		rest = rest[1:]
		if part == ".." && at == "." {
			return true
		}
		next := path.Join(at, part) // also if that is "", "." or ".."
		target, err := s.root.Readlink(next)
		if err != nil { // it is no link
			at = next
			continue
		}
		hops++
		target = filepath.ToSlash(target)
		if path.IsAbs(target) || filepath.VolumeName(target) != "" {
			return true
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return false
}

// manyFlushes is from how many files on the whole file system is flushed instead of
// each file: a flush costs some milliseconds on a disk, and there may be ten
// thousand of them. Below, what others have written does not have to be waited for.
const manyFlushes = 256

// flush sees to it that all of the tree is on the disk.
func (s *surveyor) flush() error {
	if s.found.Files > manyFlushes {
		if done, err := flushAll(s.root); done {
			return err
		}
	}
	return iofs.WalkDir(s.root.FS(), ".", func(name string, e iofs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case s.ctx.Err() != nil:
			return context.Cause(s.ctx)
		case e.IsDir() && isWindows, !e.IsDir() && !e.Type().IsRegular():
			return nil
		}
		flag := flushMode
		if e.IsDir() {
			flag = os.O_RDONLY
		}
		f, err := s.root.OpenFile(name, flag, 0)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
