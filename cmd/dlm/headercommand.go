package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"sync"
	"time"
)

// headerCommandTime is how long a command may take to print its headers: one that asks
// a server needs some seconds, and one that waits for a person never ends.
const headerCommandTime = 30 * time.Second

// headerCommand is a program that prints headers. It runs once, when they are first
// needed. What it prints, on stdout and on stderr, is shown nowhere.
type headerCommand struct {
	argv  []string
	limit time.Duration
	begin sync.Once
	ended chan struct{} // closed when all below stands
	found http.Header
	err   error
}

func newHeaderCommand(argv []string) *headerCommand {
	return &headerCommand{argv: argv, limit: headerCommandTime, ended: make(chan struct{})}
}

// header returns what the command has printed. Its errors name the program alone: its
// arguments may be secrets.
func (c *headerCommand) header(ctx context.Context) (http.Header, error) {
	c.begin.Do(func() { go c.run() })
	select {
	case <-c.ended:
		return c.found, c.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (c *headerCommand) run() {
	defer close(c.ended)
	ctx, cancel := context.WithTimeout(context.Background(), c.limit)
	defer cancel()
	out := limitedOutput{left: maxHeaderFile}
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Stdout = &out
	cmd.WaitDelay = time.Second // what it has started may keep its output open
	err := cmd.Run()
	switch {
	case out.left < 0:
		err = errTooMuch // and not that the command has noticed
	case ctx.Err() != nil:
		err = fmt.Errorf("not done within %s", shortDuration(c.limit))
	case errors.Is(err, exec.ErrWaitDelay):
		err = nil // it has ended well; what it has left running adds nothing
	}
	if err == nil {
		c.found, err = headersIn(out.kept.String())
	}
	if err != nil {
		c.err = &hinted{fmt.Errorf("header-command %s: %w", c.argv[0], err), "run it by hand to see what it says; it prints lines 'NAME: VALUE'"}
	}
}

// headersIn reads the command's output.
func headersIn(text string) (http.Header, error) {
	all, err := parseHeaderLines(text)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("it has printed no header")
	}
	found := http.Header{}
	for _, h := range all {
		found.Add(h.name, h.value)
	}
	return found, nil
}

var errTooMuch = errors.New("it prints too much")

// limitedOutput keeps what is written, and fails when that is too much. The buffer is
// not embedded: its ReadFrom would step around the limit.
type limitedOutput struct {
	kept bytes.Buffer
	left int
}

func (o *limitedOutput) Write(b []byte) (int, error) {
	if o.left -= len(b); o.left < 0 {
		return 0, errTooMuch
	}
	return o.kept.Write(b)
}
