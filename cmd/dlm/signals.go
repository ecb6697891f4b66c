package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// stopped is the end that a signal asked for.
type stopped struct{ sig syscall.Signal }

func (e *stopped) Error() string {
	if e.sig == syscall.SIGTERM {
		return "terminated"
	}
	return "interrupted"
}

// code is what a shell would report of a program that the signal has killed.
func (e *stopped) code() int { return signalBase + int(e.sig) }

// interruption is what the signals ask for.
type interruption struct {
	ctx    context.Context // the first one ends it, with a *stopped as its cause
	atOnce chan int        // the second one gives the exit code
	said   chan struct{}   // closed when the first one has been answered
}

// watchSignals waits for SIGINT and SIGTERM from now on.
//
// A signal that is ignored stays so: a shell starts its background jobs with
// SIGINT ignored. SIGPIPE is taken so that a reader who went away is an error of
// the write, after which we clean up, and not our death.
func watchSignals(u *ui) *interruption {
	ctx, cancel := context.WithCancelCause(context.Background())
	i := &interruption{ctx: ctx, atOnce: make(chan int, 1), said: make(chan struct{})}
	signals := make(chan os.Signal, 2)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	go func() {
		why := asStopped(<-signals)
		cancel(why)
		go func() { // by itself: a stopped terminal must not keep the second signal off
			defer close(i.said)
			u.note("%s: cleaning up (once more to stop at once)", why)
		}()
		<-signals
		i.atOnce <- why.code()
	}()
	return i
}

// settle waits until a signal that came has been answered.
func (i *interruption) settle() {
	if i.ctx.Err() != nil {
		<-i.said
	}
}

func asStopped(sig os.Signal) *stopped {
	if sig == syscall.SIGTERM {
		return &stopped{syscall.SIGTERM}
	}
	return &stopped{syscall.SIGINT}
}
