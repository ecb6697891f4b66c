// Dlm downloads files into a cache directory that does not outgrow its limit,
// and prints where they are.
//
//	dlm get https://example.com/tool.tar.gz
//
// "dlm help" says the rest. The command is a client of the package
// github.com/dlmanager/dlmanager alone.
package main

import "os"

func main() {
	tuneMemory()
	os.Exit(run())
}

// run is the whole program. It returns early, with the work still going on, only
// when a second signal says so: what the work leaves behind then is what a kill
// would leave, which the next call puts in order.
func run() int {
	u := newUI(os.Stdout, os.Stderr)
	signals := watchSignals(u)
	done := make(chan int, 1)
	go func() {
		code := u.conclude(execute(signals.ctx, u, os.Args[1:]))
		signals.settle()
		done <- code
	}()
	select {
	case code := <-done:
		return code
	case code := <-signals.atOnce:
		return code
	}
}
