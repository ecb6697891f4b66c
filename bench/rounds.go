package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// job is what one run has to do.
type job struct {
	place *place
	base  string // URL of the folder with the files, without a slash at the end
	files []source
	dir   string // fresh, for the destination
	list  string // a path for a list of URLs, for contenders that read one
}

func (j *job) url(f source) string { return j.base + "/" + f.name }

// one is the only file of a scenario that has one, and its path if the
// contender can be told it.
func (j *job) one() (url, path string) {
	return j.url(j.files[0]), filepath.Join(j.dir, j.files[0].name)
}

// arena is a scenario under way.
type arena struct {
	place *place
	s     scenario
	files []source
	base  string
	dir   string // of all destinations
	each  int64  // bytes of one run
	floor int64  // largest size of our own, which hides smaller peaks
}

// runScenario lets all contenders of a scenario run in turn.
func (p *place) runScenario(ctx context.Context, s scenario) (table, error) {
	fmt.Fprintf(os.Stderr, "bench: %s\n", s.name)
	l := s.load.scaled(p.scale)
	files, err := p.data.get(l)
	if err != nil {
		return table{}, err
	}
	parent := p.work
	if s.onDisk {
		parent = p.diskWork
	}
	a := &arena{
		place: p, s: s, files: files, each: l.bytes(),
		base: s.server(p) + "/" + l.folder(), dir: filepath.Join(parent, s.name),
	}
	if err := os.Mkdir(a.dir, 0o755); err != nil {
		return table{}, err
	}
	there, missing := p.available(s.contenders)
	t := table{name: s.name, about: s.about, rows: there, missing: missing}
	if l != s.load {
		t.about += fmt.Sprintf(" **A trial**: %d × %d bytes.", l.count, l.size)
	}
	if err := a.checkRoom(len(there) * p.runs); err != nil {
		return table{}, err
	}
	before := load()
	for round := range p.runs {
		if err := a.round(ctx, t.rows, round); err != nil {
			return table{}, err
		}
	}
	t.floor, t.load = a.floor, before+" to "+load()
	return t, os.RemoveAll(a.dir)
}

// checkRoom looks whether there is room for so many runs. On a tmpfs one is
// removed before the next begins.
func (a *arena) checkRoom(runs int) error {
	room, err := roomAt(a.dir)
	if err != nil {
		return err
	}
	need := a.each
	if a.s.onDisk {
		need *= int64(runs)
	}
	if need > room/10*9 {
		return fmt.Errorf("it takes %d MiB, and there is room for %d: lower -size", need/mib, room/mib)
	}
	return nil
}

// touch uses as much memory as the run that comes next will, and gives it back.
// In a virtual machine the first use of a page can cost more than the download
// that fills it, and what has been free for some seconds may have gone back to
// the host: every run shall find its memory ready.
func (a *arena) touch() error {
	path := filepath.Join(a.place.work, "touched")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	zeros := make([]byte, mib)
	for left := a.each; left > 0 && err == nil; left -= mib {
		_, err = f.Write(zeros)
	}
	return errors.Join(err, f.Close(), os.Remove(path))
}

// roomAt returns how many bytes fit, into the file system and into memory: what
// is on a tmpfs is memory, and what was written to a disk shall not wait for it.
func roomAt(dir string) (int64, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return 0, err
	}
	memory, err := memInfo("MemAvailable")
	return min(int64(disk.Bavail)*disk.Bsize, memory), err
}

// round lets each contender run once, in an order that changes.
func (a *arena) round(ctx context.Context, rows []*row, round int) error {
	for _, i := range orderOf(len(rows), round) {
		s, err := a.run(ctx, rows[i].contender, fmt.Sprintf("%d-%d", round, i), round == 0)
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		rows[i].samples = append(rows[i].samples, s)
	}
	return nil
}

// orderOf returns in which order n contenders run: each round begins with
// another one, and every second one goes backwards.
func orderOf(n, round int) []int {
	order := make([]int, n)
	for i := range order {
		step := i
		if round%2 == 1 {
			step = n - i
		}
		order[i] = (round + step) % n
	}
	return order
}

// run lets one contender run once. A failure of the contender is in the sample,
// one of our own is the error.
func (a *arena) run(ctx context.Context, c contender, name string, first bool) (sample, error) {
	j := &job{
		place: a.place, base: a.base, files: a.files,
		dir: filepath.Join(a.dir, name), list: filepath.Join(a.place.work, "list"),
	}
	if err := os.Mkdir(j.dir, 0o755); err != nil {
		return sample{}, err
	}
	if !a.s.onDisk {
		// A tmpfs is done with a removal when it returns; a disk's file system
		// would still be busy with it in the next run.
		defer os.RemoveAll(j.dir)
	}
	if c.before != nil {
		cmd, err := c.before(j)
		if err != nil {
			return sample{}, err
		}
		if s := a.place.execute(ctx, cmd, j.dir); s.err != nil {
			return s, nil
		}
	}
	cmd, err := c.command(j)
	if err != nil {
		return sample{}, err
	}
	if err := a.touch(); err != nil {
		return sample{}, err
	}
	size, err := lowerOwnPeak()
	if err != nil {
		return sample{}, err
	}
	a.floor = max(a.floor, size)
	if a.s.onDisk {
		unix.Sync() // what earlier runs have left to write
	}
	s := a.place.execute(ctx, cmd, j.dir)
	if s.err == nil && !c.keepsNothing {
		s.err = verify(j.dir, a.files, first)
	}
	return s, nil
}

// verify looks whether all files are there and whole: sizes, and sums if asked.
func verify(dir string, want []source, sums bool) error {
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d iofs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			found[d.Name()] = path
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, f := range want {
		path, ok := found[f.name]
		if !ok {
			return fmt.Errorf("exit code 0, but there is no %s", f.name)
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() != f.size {
			return fmt.Errorf("exit code 0, but %s has %d bytes of %d", f.name, info.Size(), f.size)
		}
		if !sums {
			continue
		}
		sum, err := sumOf(path)
		if err != nil {
			return err
		}
		if sum != f.sum {
			return fmt.Errorf("exit code 0, but the content of %s is wrong", f.name)
		}
	}
	return nil
}
