package main

import (
	"os"
	"time"

	"github.com/spf13/pflag"
)

// fromStdin is the list that is read from stdin.
const fromStdin = "-"

const (
	layoutTree   = "tree"
	layoutFlat   = "flat"
	defaultDrain = 5 * time.Second
)

// batchFlags are those of "dlm batch" alone.
type batchFlags struct {
	job           string
	restart       bool
	acceptChanges bool
	retryFailed   bool
	report        string
	layout        choiceValue
	drain         durationValue
	maxFiles      countValue
	maxBytes      sizeValue
	maxErrors     countValue
	flags         *pflag.FlagSet
}

func (f *batchFlags) register(s *flagSet, place *placeFlags) {
	f.flags, place.flags = s.FlagSet, s.FlagSet
	f.layout = choiceValue{layoutTree, []string{layoutTree, layoutFlat}}
	f.drain = durationValue(defaultDrain)
	s.group("The job")
	s.StringVar(&f.job, "job", "", "keep what is done and what failed in `DIR` (default: in .dlm/jobs of the cache directory)")
	s.BoolVar(&f.retryFailed, "retry-failed", false, "try again what failed in earlier runs")
	s.BoolVar(&f.restart, "restart", false, "forget what is done, and begin the list anew; what is in the cache is not fetched again")
	s.BoolVar(&f.acceptChanges, "accept-changes", false, "take the list as it is now, although it was changed; what it has no more is not fetched")
	s.StringVar(&f.report, "report", "", "append a JSON object for each link that is over to `FILE`, which begins anew with the job; -: stdout, which begins with what failed before")
	s.group("When it stops")
	s.Var(&f.drain, "drain", "after the first signal, or at a limit, let what is under way go on for `DURATION`")
	s.Var(&f.maxFiles, "max-files", "stop when `N` files are there; 0: never")
	s.Var(&f.maxBytes, "max-bytes", "stop when `SIZE` has been received; 0: never")
	s.Var(&f.maxErrors, "max-errors", "stop when `N` links have failed; 0: never")
	s.group("Where the files go")
	s.Var(&f.layout, "layout", "call files host/path in the cache (tree), or by the end of the path and a hash (flat)")
	s.StringVarP(&place.output, "output", "o", "", "put a copy of each file below the directory `DIR`, under its name in the cache")
	s.BoolVarP(&place.executable, "executable", "x", false, "make the files executable")
	s.BoolVar(&place.link, "link", false, "with -o: put hard links there, no copies; who changes one changes the file in the cache")
}

// adapt gives flags that dlm get has, too, the defaults of a batch. No path is
// printed that would have to be good for a while, so the limit holds at once.
func (f *batchFlags) adapt(g *getCommand) {
	g.cache.grace = 0
	f.flags.Lookup("grace").DefValue = "0"
	perHost := f.flags.Lookup("per-host")
	perHost.DefValue = "0" // its usage says more than a figure can
	perHost.Usage += " (default: half of -j, so that one slow host holds up no other; for a list in a file with one host alone, all)"
	f.flags.Lookup("max-time").Usage = "stop after `DURATION`; 0: never"
}

// settle works out what depends on other flags, and on the list.
func (f *batchFlags) settle(t *transferFlags, list string) {
	switch {
	case f.flags.Changed("per-host"):
	case list != fromStdin && isOneHosts(list):
		t.perHost.n = t.parallel.n
	default:
		t.perHost.n = max(1, t.parallel.n/2)
	}
}

// check refuses what cannot go together.
func (f *batchFlags) check(place *placeFlags) error {
	output := given(f.flags, "output")
	switch {
	case place.link && place.output == "":
		return &usageError{given(f.flags, "link") + " needs a place for the links", output + " DIR names one"}
	case place.output == toStdout:
		return &usageError{output + " - writes one file to stdout, and a list has several", output + " DIR/ puts them into a directory"}
	case f.restart && f.acceptChanges:
		return &usageError{
			given(f.flags, "restart") + " begins anew, and " + given(f.flags, "accept-changes") + " goes on",
			"leave out one of them",
		}
	}
	if fi, err := os.Stat(place.output); place.output != "" && err == nil && !fi.IsDir() {
		return &usageError{output + " " + place.output + " is a file", "a batch needs a directory"}
	}
	return nil
}
