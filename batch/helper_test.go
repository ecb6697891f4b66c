package batch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager"
)

// helperEnv makes the test's binary a second process: it runs a job, as its
// arguments say, and prints how that went.
const helperEnv = "DLMANAGER_BATCH_TEST_HELPER"

// helperPlaces is how many downloads a second process runs at once.
const helperPlaces = 8

// helper is the second process: JOB CACHE LIST.
func helper(args []string) int {
	if err := runJob(args[0], args[1], args[2]); err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("done")
	return 0
}

func runJob(dir, cache, path string) (err error) {
	j, err := OpenJob(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	list, err := OpenLinkList(path)
	if err != nil {
		return err
	}
	defer list.Close()
	m, err := dlmanager.NewDownloadManager(cache, dlmanager.WithMaxConcurrent(helperPlaces), dlmanager.WithSync(dlmanager.SyncNone))
	if err != nil {
		return err
	}
	defer m.Close()
	if _, err := j.AddList(context.Background(), list); err != nil {
		return err
	}
	report, err := j.Run(context.Background(), m, Limits{}, func(Outcome[Link]) { fmt.Println("told") })
	if err == nil && report.Reason != ReasonDone {
		err = report.Reason
	}
	return err
}

// process is a running second process.
type process struct {
	*exec.Cmd
	out *bufio.Reader
}

func startProcess(t testing.TB, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, os.Args[0], args...)}
	p.Env = append(os.Environ(), helperEnv+"=1")
	pipe, err := p.StdoutPipe()
	require.NoError(t, err)
	p.out = bufio.NewReader(pipe)
	require.NoError(t, p.Start())
	return p
}

// end waits for its end and returns the last thing it said.
func (p *process) end() string {
	text, _ := io.ReadAll(p.out)
	_ = p.Wait()
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
