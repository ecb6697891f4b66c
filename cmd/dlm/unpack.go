package main

import (
	"strings"

	"github.com/dlmanager/dlmanager"
)

// unpackFlags say that archives become directories.
type unpackFlags struct {
	unpack bool
	strip  countValue
	keep   bool
}

func (f *unpackFlags) register(s *flagSet) {
	s.BoolVar(&f.unpack, "unpack", false, "unpack the file, a tar or zip archive or a compressed file, and print the directory; with -o: put a copy of that at PATH, where nothing may be")
	s.Var(&f.strip, "strip", "with --unpack: drop the first `N` folders from the names in the archive")
	s.BoolVar(&f.keep, "keep-archive", false, "with --unpack: keep the archive in the cache, too")
}

// check refuses what cannot go together.
func (f *unpackFlags) check(p *placeFlags) error {
	if !f.unpack {
		if f.strip.n > 0 {
			return &usageError{given(p.flags, "strip") + " is for archives that are unpacked", "--unpack unpacks them"}
		}
		return nil
	}
	unpack := given(p.flags, "unpack")
	switch {
	case p.output == toStdout:
		return &usageError{unpack + " makes a directory, and " + given(p.flags, "output") + " - writes a file to stdout", "leave one of them out"}
	case p.link:
		return &usageError{unpack + " makes a directory, and " + given(p.flags, "link") + " links a file", "without it the directory is copied"}
	case p.executable:
		return &usageError{unpack + " and " + given(p.flags, "executable") + " do not go together", "the archive says what is executable in it"}
	}
	return nil
}

// archiveSuffixes are cut from an archive's name to name a directory.
var archiveSuffixes = []string{".tar", ".tgz", ".tbz2", ".tbz", ".txz", ".tzst", ".zip", ".jar", ".whl"}

// withoutSuffix is what a directory from an archive is called in another directory.
func withoutSuffix(base string) string {
	for _, packed := range []string{".gz", ".zst", ".xz", ".bz2"} {
		if name, ok := strings.CutSuffix(base, packed); ok && name != "" {
			base = name
			break
		}
	}
	for _, suffix := range archiveSuffixes {
		if name, ok := strings.CutSuffix(base, suffix); ok && name != "" {
			return name
		}
	}
	return base
}

// prepare says of each job how its archive is unpacked.
func (f *unpackFlags) prepare(jobs []*job) {
	for _, j := range jobs {
		if j.tree == nil {
			continue
		}
		j.tree.Strip, j.tree.name = f.strip.n, treeName(j.name, f.strip.n)
		if f.keep {
			j.opts = append(j.opts, dlmanager.WithArchive(j.name))
		}
	}
}
