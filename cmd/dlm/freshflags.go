package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/dlmanager/dlmanager"
)

// freshFlags say when what is there is used.
type freshFlags struct {
	maxStale     durationValue
	revalidate   bool
	staleIfError bool
	offline      bool
	force        bool
	flags        *pflag.FlagSet
}

func (f *freshFlags) register(s *flagSet) {
	f.flags = s.FlagSet
	s.group("A file that is there")
	s.Var(&f.maxStale, "max-stale", "ask the server whether it is current if it was fetched, or the server was asked, longer than `DURATION` ago; 0: always (default: never)")
	s.BoolVar(&f.revalidate, "revalidate", false, "ask the server whether it is current, whatever its age")
	s.BoolVar(&f.staleIfError, "stale-if-error", false, "use it, and say so, if the server cannot be asked")
	s.BoolVar(&f.offline, "offline", false, "make no request: use what is there, whatever its age, and else end with 3")
	s.BoolVar(&f.force, "force", false, "fetch it although it is there")
}

// check refuses what cannot go together. Of the others the strictest counts:
// --offline, then --revalidate, then --max-stale.
func (f *freshFlags) check() error {
	if f.offline && f.force {
		return &usageError{
			given(f.flags, "offline") + " makes no request, and " + given(f.flags, "force") + " wants one",
			"leave out one of them",
		}
	}
	return nil
}

func (f *freshFlags) options() []dlmanager.Option {
	if f.offline {
		return []dlmanager.Option{dlmanager.WithOffline()}
	}
	return nil
}

// asks reports whether what is there has to be looked at anew.
func (f *freshFlags) asks() bool {
	return f.force || !f.offline && (f.revalidate || f.flags.Changed("max-stale"))
}

// once returns what holds when a file is asked for first, and not when it is
// opened after that.
func (f *freshFlags) once() []dlmanager.DownloadOption {
	var opts []dlmanager.DownloadOption
	switch {
	case f.offline:
	case f.revalidate:
		opts = append(opts, dlmanager.WithFreshness(dlmanager.FreshFor(0)))
	case f.flags.Changed("max-stale"):
		opts = append(opts, dlmanager.WithFreshness(dlmanager.FreshFor(time.Duration(f.maxStale))))
	}
	if f.staleIfError {
		opts = append(opts, dlmanager.WithStaleIfError())
	}
	if f.force {
		opts = append(opts, dlmanager.WithForce())
	}
	return opts
}
