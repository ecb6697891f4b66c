// Bench compares dlm and the library with other download tools, on one machine:
// nginx serves over loopback, the tools fetch in turn into fresh directories,
// and a Markdown table for each scenario says what it took. Run it in its
// folder, or by make bench:
//
//	go run . [-runs 7] [-only plain,small] [-size 1] [-out file.md]
//
// It needs Linux and nginx. A contender that is not installed is left out, and
// that is said below the table; one that fails is shown as failed. Absolute
// times hold for the machine, ratios for the tools.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// config is what the flags say.
type config struct {
	runs    int
	only    []string
	without []string
	scale   float64
	dir     string // a tmpfs
	disk    string // not a tmpfs
	out     string
	timeout time.Duration // of one run
}

func main() {
	// The children ask to be ended when the thread that started them ends, so
	// it must be one that stays: the main one.
	runtime.LockOSThread()
	if len(os.Args) > 2 && os.Args[1] == "drive" {
		os.Exit(drive(os.Args[2:]))
	}
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	c, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = compare(ctx, c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func parse(args []string) (config, error) {
	var c config
	var only, without string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&c.runs, "runs", 7, "rounds; in each, every contender runs once")
	f.StringVar(&only, "only", "", "scenarios to run, parted by commas (default: all)")
	f.StringVar(&without, "without", "", "programs to leave out, parted by commas")
	f.Float64Var(&c.scale, "size", 1, "scale of the sizes and numbers of files, for trials")
	f.StringVar(&c.dir, "dir", "/dev/shm", "folder on a tmpfs")
	f.StringVar(&c.disk, "ext4", "/var/tmp", "folder on a disk, for what is synced")
	f.StringVar(&c.out, "out", "", "file for the tables, beside standard output")
	f.DurationVar(&c.timeout, "timeout", 5*time.Minute, "end a run that takes longer, as failed")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	c.only, c.without = fields(only), fields(without)
	switch {
	case f.NArg() > 0:
		return c, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case c.runs < 1 || c.scale <= 0 || c.scale > 1:
		return c, errors.New("-runs must be at least 1, -size above 0 and at most 1")
	}
	for _, name := range c.only {
		if !slices.Contains(scenarioNames(), name) {
			return c, fmt.Errorf("no scenario %q; there are: %s", name, strings.Join(scenarioNames(), ", "))
		}
	}
	return c, nil
}

func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// compare runs the scenarios that were asked for, and prints as it goes.
func compare(ctx context.Context, c config) (err error) {
	var w io.Writer = os.Stdout
	if c.out != "" {
		f, err := os.Create(c.out)
		if err != nil {
			return err
		}
		defer f.Close()
		w = io.MultiWriter(w, f)
	}
	p, err := newPlace(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	fmt.Fprintln(w, describeMachine(ctx, p))
	for _, s := range scenarios() {
		if len(c.only) > 0 && !slices.Contains(c.only, s.name) {
			continue
		}
		t, err := p.runScenario(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if _, err := fmt.Fprintln(w, t.markdown()); err != nil {
			return err
		}
	}
	return nil
}
