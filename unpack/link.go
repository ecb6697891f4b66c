package unpack

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
)

const (
	// maxTarget is what the target of a link may have, in bytes: PATH_MAX of macOS, as
	// for names.
	maxTarget = 1024
	// maxHops is how many links one path may go through: what Linux follows
	// (path_resolution(7)).
	maxHops = 40
	// maxSteps is how many parts a path may have, with those of the links that it goes
	// through. Paths on purpose have a few dozen; each costs a look-up.
	maxSteps = 255
)

// checkTarget refuses targets that are wrong wherever the link lies. Its error goes
// on from "its target X".
func checkTarget(target string) error {
	switch {
	case target == "":
		return errors.New("is empty")
	case len(target) > maxTarget:
		return errors.New("is too long")
	case target[0] == '/', isDrive(target):
		return errors.New("is absolute; links have to be relative")
	}
	for part := range strings.SplitSeq(target, "/") {
		if part == "" || part == "." || part == ".." {
			continue
		}
		if err := checkPath(part); err != nil {
			return fmt.Errorf("cannot be used: %w", err)
		}
	}
	return nil
}

// makeLinks makes the symbolic links, now that all that is in the archive is known. None
// is made unless none leads out.
func (t *tree) makeLinks(ctx context.Context) error {
	for _, link := range t.links {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := t.follow(link); err != nil {
			return refuse(link.entry, "its target "+quoted(link.target)+" "+err.Error())
		}
	}
	symlinker, ok := t.into.(afero.Symlinker)
	for _, link := range t.links {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !ok {
			return writeError(link.entry, fmt.Errorf("symbolic links: %w", errors.ErrUnsupported))
		}
		if err := symlinker.SymlinkIfPossible(link.target, link.path); err != nil {
			return writeError(link.entry, err)
		}
	}
	return nil
}

// follow goes where the link leads, part by part and through other links, as the
// kernel does, and fails when that leaves the folder at any point. What is not there
// counts as a folder, so that a link may lead to what comes later.
func (t *tree) follow(link *node) error {
	at := path.Dir(link.path)
	todo := strings.Split(link.target, "/")
	for hops, steps := 0, 0; len(todo) > 0; steps++ {
		if hops > maxHops || steps > maxSteps {
			return fmt.Errorf("leads through more than %d links or %d folders, or in a circle", maxHops, maxSteps)
		}
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if at == "." {
				return errors.New("leads out of the folder")
			}
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		n := t.nodes[fs.Fold(next)]
		if n == nil || n.kind != symlink {
			at = next
			continue
		}
		hops++
		todo = append(strings.Split(n.target, "/"), todo...)
	}
	return nil
}
