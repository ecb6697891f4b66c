package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// The rules of what the command says:
//
//   - Results go to stdout, and nothing else does. Everything else goes to
//     stderr.
//   - A line on stderr begins with "dlm: ", is lower case and has no full stop.
//   - A failure of one file is "dlm: URL: what happened", the URL without its
//     secrets. Where there is something to do about it, the next line is
//     "dlm: hint: what to do". The same hint is given once.
//   - Nothing that came from a server or a name reaches the terminal with
//     control characters in it.
//   - No colour. NO_COLOR has nothing to switch off.
//   - While bars are on the screen, lines go above them.

// ui says things to people. Its methods may be called at any time.
type ui struct {
	out *os.File

	mu     sync.Mutex // guards all below, and keeps lines whole
	err    io.Writer
	above  io.Writer // takes the lines while bars are shown; nil: none are
	quiet  bool      // errors only
	hinted map[string]bool
}

func newUI(out *os.File, err io.Writer) *ui {
	return &ui{out: out, err: err, hinted: map[string]bool{}}
}

// Write takes whole lines that are safe to show: those of the log, and of
// progress for machines.
func (u *ui) Write(lines []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.write(lines)
	return len(lines), nil
}

// write needs mu. There is nobody to tell when stderr fails.
func (u *ui) write(lines []byte) {
	if u.above != nil {
		if _, err := u.above.Write(lines); err == nil {
			return
		}
	}
	_, _ = u.err.Write(lines)
}

// divert sends all lines to w from now on; nil ends that.
func (u *ui) divert(w io.Writer) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.above = w
}

// clearLine takes from the screen what the terminal itself wrote into a line of
// bars, the echo of Ctrl-C.
func (u *ui) clearLine() {
	const clearToEnd = "\x1b[J"
	u.mu.Lock()
	defer u.mu.Unlock()
	u.write([]byte(carriageReturn + clearToEnd))
}

func (u *ui) setQuiet(quiet bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.quiet = quiet
}

// note says what is no error.
func (u *ui) note(format string, args ...any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.quiet {
		u.line(fmt.Sprintf(format, args...))
	}
}

// failed says that err happened to what; "" for nothing in particular.
func (u *ui) failed(what string, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.line(describe(what, err))
	u.hint(hintFor(err))
}

// advise says what can be done about what was said.
func (u *ui) advise(text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.hint(text)
}

// hint needs mu.
func (u *ui) hint(text string) {
	if text == "" || u.hinted[text] {
		return
	}
	u.hinted[text] = true
	u.line("hint: " + text)
}

// line needs mu.
func (u *ui) line(text string) {
	u.write([]byte("dlm: " + printable(text) + "\n"))
}

// conclude says what has not been said of err yet, and returns the exit code.
func (u *ui) conclude(err error) int {
	for _, err := range split(err) {
		if !isSaid(err) {
			u.failed("", err)
		}
	}
	return exitCode(err)
}

// split takes apart what errors.Join joined.
func split(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// isSaid reports whether there is nothing left to say of err: it has been said
// as it happened, or nobody is there to read it.
func isSaid(err error) bool {
	_, fetched := errors.AsType[*fetchError](err)
	_, signalled := errors.AsType[*stopped](err)
	_, ended := errors.AsType[*programEnded](err)
	return fetched || isIncomplete(err) || isLimited(err) || isNotInPlace(err) || signalled || ended || isBrokenPipe(err)
}

// describe puts an error into one line. Many errors name the URL themselves.
func describe(what string, err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if what == "" {
		return text
	}
	return what + ": " + strings.TrimPrefix(text, what+": ")
}

// printable replaces what a terminal would not show as a character, or would
// obey. The two joiners are part of how words and pictures are written.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'
		if r == zeroWidthNonJoiner || r == zeroWidthJoiner {
			return r
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
