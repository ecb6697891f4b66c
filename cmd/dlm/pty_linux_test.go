package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// screen is a terminal and what was written to it.
type screen struct {
	terminal *os.File // for the program
	mu       sync.Mutex
	text     bytes.Buffer // guarded by mu
	over     chan struct{}
}

// newScreen opens a terminal with so many columns.
func newScreen(t *testing.T, columns uint16) *screen {
	keeper, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	fd := int(keeper.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
	terminal, err := os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	s := &screen{terminal: terminal, over: make(chan struct{})}
	go func() {
		defer close(s.over)
		block := make([]byte, 4096)
		for {
			n, err := keeper.Read(block)
			s.mu.Lock()
			s.text.Write(block[:n])
			s.mu.Unlock()
			if err != nil { // nobody has the terminal open any more
				return
			}
		}
	}()
	t.Cleanup(func() {
		terminal.Close()
		<-s.over
		keeper.Close()
	})
	return s
}

func (s *screen) written() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// end waits until all that programs wrote has come.
func (s *screen) end(t *testing.T) string {
	require.NoError(t, s.terminal.Close())
	<-s.over
	return s.written()
}

// controls are what moves the cursor or clears.
var controls = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]|\r")

func TestABatchOnATerminalShowsBars(t *testing.T) {
	const columns = 60
	o := testorigin.New(t)
	release := make(chan struct{})
	var text strings.Builder
	for i := range 30 {
		fmt.Fprintln(&text, o.Serve(fmt.Sprint("/file", i), []byte("file")))
	}
	fmt.Fprintln(&text, o.URL("/missing"))
	fmt.Fprintln(&text, o.ServeSize("/a-file-with-a-name-that-is-longer-than-the-terminal-is-wide.tar.gz", 1000, testorigin.GateAfter(400, release)))
	list := filepath.Join(t.TempDir(), "links.txt")
	require.NoError(t, os.WriteFile(list, []byte(text.String()), 0o600))

	cmd, _ := dlm(t, "batch", list)
	cmd.Env = append(cmd.Env, "TERM=xterm", "DLM_PROGRESS=auto")
	s := newScreen(t, columns)
	cmd.Stderr = s.terminal
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		written := s.written()
		return strings.Contains(written, "30/32 files, 1 failed") && strings.Contains(written, "de.tar.gz")
	}, time.Minute, 10*time.Millisecond)
	close(release)
	require.Equal(t, 7, exitCodeOf(t, cmd.Wait()))
	written := s.end(t)

	bars, summary, cleared := strings.Cut(written, "\x1b[J\r\ndlm: ")
	if !cleared {
		bars, summary, cleared = strings.Cut(written, "\x1b[Jdlm: ")
	}
	require.True(t, cleared, "%q", written)
	assert.Contains(t, bars, "de.tar.gz")
	for line := range strings.Lines(bars) {
		plain := strings.TrimRight(controls.ReplaceAllString(line, ""), "\n")
		assert.LessOrEqual(t, displayWidth(plain), columns, "%q", line)
	}
	assert.Contains(t, summary, "32 links: 31 fetched")
	assert.NotContains(t, summary, "de.tar.gz")
}
