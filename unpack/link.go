package unpack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/afero"
)

const (
	// maxTarget is what the target of a link may have, in bytes: PATH_MAX of macOS, as
	// for names.
	maxTarget = 1024
	// maxHops is how many links one path may go through: what Linux follows
	// (path_resolution(7)).
	maxHops = 40
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

// link is what is known of a symbolic link.
type link struct {
	target string
	state  followed
	end    spot // where it leads, once it was followed
	hops   int  // how many links it goes through on the way, with itself
}

type followed int

const (
	notYet followed = iota
	onTheWay
	toItsEnd
)

// spot is what a path leads to: so many parts below a node, of which none is there.
type spot struct {
	at     *node
	beyond int
}

// makeLinks makes the symbolic links, now that all that is in the archive is known. None
// is made unless none leads out.
func (t *tree) makeLinks(ctx context.Context) error {
	for _, n := range t.links {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if n.kind != symlink { // but replaced
			continue
		}
		if err := t.follow(n, 1); err != nil {
			return refuse(n.entry, "its target "+quoted(n.link.target)+" "+err.Error())
		}
	}
	for _, n := range t.links {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if n.kind != symlink {
			continue
		}
		if err := t.symlink(n); err != nil {
			return writeError(n.entry, err)
		}
	}
	return nil
}

func (t *tree) symlink(n *node) error {
	symlinker, ok := t.into.(afero.Symlinker)
	if !ok {
		return fmt.Errorf("symbolic links: %w", errors.ErrUnsupported)
	}
	if err := symlinker.SymlinkIfPossible(n.link.target, n.path); err != nil {
		return err
	}
	made, err := symlinker.ReadlinkIfPossible(n.path)
	if err == nil && filepath.ToSlash(made) != n.link.target { // as afero.BasePathFs does
		return fmt.Errorf("the file system to fill has changed the target of the link to %s; give one on os.Root", quoted(made))
	}
	return err
}

// follow goes where the link leads, part by part and through other links, as the
// kernel does, and fails when that leaves the folder at any point. What is not there
// counts as a folder, so that a link may lead to what comes later. Each link is
// followed once: a few kilobytes of links through links would take hours.
func (t *tree) follow(n *node, depth int) error {
	l := n.link
	switch {
	case l.state == toItsEnd:
		return nil
	case l.state == onTheWay, depth > maxHops:
		return errTooManyLinks
	}
	l.state, l.hops = onTheWay, 1
	at := spot{at: n.in}
	for part := range strings.SplitSeq(l.target, "/") {
		next, err := t.step(at, part)
		if err != nil {
			return err
		}
		if at = next; at.beyond > 0 || at.at.kind != symlink {
			continue
		}
		through := at.at
		if err := t.follow(through, depth+1); err != nil {
			return err
		}
		if l.hops += through.link.hops; l.hops > maxHops {
			return errTooManyLinks
		}
		at = through.link.end
	}
	l.state, l.end = toItsEnd, at
	return nil
}

var errTooManyLinks = fmt.Errorf("leads through more than %d links, or in a circle", maxHops)

// step goes on by one part of a path.
func (t *tree) step(from spot, part string) (spot, error) {
	switch {
	case part == "", part == ".":
		return from, nil
	case part == ".." && from.beyond > 0:
		return spot{from.at, from.beyond - 1}, nil
	case part == ".." && from.at == t.top:
		return from, errors.New("leads out of the folder")
	case part == "..":
		return spot{at: from.at.in}, nil
	case from.beyond == 0:
		if found, twin := t.find(from.at, part); found != nil || twin != nil {
			return spot{at: cmp.Or(found, twin)}, nil
		}
	}
	return spot{from.at, from.beyond + 1}, nil
}
