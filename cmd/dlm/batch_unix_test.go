//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// batchList writes a list of files that the origin has, and of one that never ends
// while held is open.
func batchList(t *testing.T, o *testorigin.Origin, files int) (list string) {
	t.Helper()
	var text strings.Builder
	for i := range files {
		fmt.Fprintln(&text, o.Serve(fmt.Sprintf("/file%d", i), fmt.Appendf(nil, "content %d", i)))
	}
	fmt.Fprintln(&text, o.ServeSize("/stuck", 1<<20, testorigin.Sequence(testorigin.SilentAfter(1000), testorigin.OK())))
	list = filepath.Join(t.TempDir(), "links.txt")
	require.NoError(t, os.WriteFile(list, []byte(text.String()), 0o666))
	return list
}

// again returns the same command once more, in the same cache.
func again(cmd *exec.Cmd) *exec.Cmd {
	next := exec.Command("dlm", cmd.Args[1:]...)
	next.Env = cmd.Env
	return next
}

func TestStoppedBatchGoesOn(t *testing.T) {
	for sig, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGKILL: -1} {
		t.Run(sig.String(), func(t *testing.T) {
			o := testorigin.New(t)
			list := batchList(t, o, 20)
			cmd, cache := dlm(t, "batch", "-j", "2", "--drain", "50ms", list)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			require.NoError(t, cmd.Start())
			<-o.Arrived("/stuck", 1) // all before it have begun
			require.NoError(t, cmd.Process.Signal(sig))
			require.Equal(t, code, exitCodeOf(t, cmd.Wait()), stderr.String())
			if sig != syscall.SIGKILL {
				require.Regexp(t, `dlm: stopped, \d+ left: the same command goes on\n\z`, stderr.String())
			}

			cmd = again(cmd)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			require.Contains(t, string(out), "dlm: going on: ")
			require.Contains(t, string(out), " 0 failed\n")
			asked := 0
			for i := range 20 {
				asked += o.Count(fmt.Sprint("/file", i))
			}
			require.LessOrEqual(t, asked, 20+1, "again what was on its way beside the one that was stuck")
			require.Equal(t, 2, o.Count("/stuck"))
			requireNoPartials(t, cache)
			jobs, err := filepath.Glob(filepath.Join(cache, ".dlm", "jobs", "*"))
			require.NoError(t, err)
			require.Empty(t, jobs)
		})
	}
}

func TestDrainLetsDownloadsEnd(t *testing.T) {
	o := testorigin.New(t)
	release := make(chan struct{})
	url := o.ServeSize("/held", 1<<20, testorigin.Gate(release))
	list := filepath.Join(t.TempDir(), "links.txt")
	require.NoError(t, os.WriteFile(list, []byte(url+"\n"), 0o666))
	cmd, _ := dlm(t, "batch", "--drain", "1h", list)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	<-o.Arrived("/held", 1)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	said := make([]byte, 16)
	_, err = stderr.Read(said) // the signal was heard
	require.NoError(t, err)
	close(release)
	rest := new(bytes.Buffer)
	_, err = rest.ReadFrom(stderr)
	require.NoError(t, err)
	require.Equal(t, 0, exitCodeOf(t, cmd.Wait()), rest.String())
	require.Contains(t, rest.String(), "1 link: 1 fetched")
}

func TestSecondRunOnOneJobIsRefused(t *testing.T) {
	o := testorigin.New(t)
	list := batchList(t, o, 0)
	cmd, _ := dlm(t, "batch", list)
	require.NoError(t, cmd.Start())
	<-o.Arrived("/stuck", 1)
	out, err := again(cmd).CombinedOutput()
	require.Equal(t, 8, exitCodeOf(t, err))
	require.Contains(t, string(out), fmt.Sprintf("is in use by process %d", cmd.Process.Pid))
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
}

func TestBatchHearsASignalWhileItReadsStdin(t *testing.T) {
	cmd, _ := dlm(t, "batch", "-")
	stdin, err := cmd.StdinPipe() // never closed: more links may come
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	const moreThanAPipeHolds = 1 << 20
	_, err = stdin.Write(bytes.Repeat([]byte("# nothing\n"), moreThanAPipeHolds/10)) // it reads
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 143, exitCodeOf(t, cmd.Wait()))
}

func TestBatchFetchesWhatStdinBringsAtOnce(t *testing.T) {
	o := testorigin.New(t)
	urls := []string{o.Serve("/first", []byte("first")), o.Serve("/second", []byte("second"))}
	cmd, _ := dlm(t, "batch", "-")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	for i, path := range []string{"/first", "/second"} {
		_, err = fmt.Fprintln(stdin, urls[i])
		require.NoError(t, err)
		<-o.Arrived(path, 1) // before more is written
	}
	require.NoError(t, stdin.Close())
	require.NoError(t, cmd.Wait(), stderr.String())
	require.Contains(t, stderr.String(), "2 links: 2 fetched")
}

func TestBatchStopsAtALimitWhileMoreMayCome(t *testing.T) {
	o := testorigin.New(t)
	cmd, _ := dlm(t, "batch", "--max-files", "1", "-")
	stdin, err := cmd.StdinPipe() // never closed
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	_, err = fmt.Fprintln(stdin, o.Serve("/first", []byte("first")))
	require.NoError(t, err)
	require.Equal(t, 4, exitCodeOf(t, cmd.Wait()), stderr.String())
	require.Contains(t, stderr.String(), "dlm: stopped (there were enough files), at least 0 left: ")
}

func TestBatchSaysThatItsListCannotBeReadToItsEnd(t *testing.T) {
	o := testorigin.New(t)
	list := filepath.Join(t.TempDir(), "links.txt")
	url := o.Serve("/file", []byte("file"))
	text := ""
	for i := range 300 { // more than are added before the first is fetched
		text += fmt.Sprintf("%s name%d\n", url, i)
	}
	require.NoError(t, os.WriteFile(list, []byte(text+"\x00\n"), 0o666))
	cmd, _ := dlm(t, "batch", "--max-files", "1", list)
	out, err := cmd.CombinedOutput()
	require.Equal(t, 2, exitCodeOf(t, err), string(out))
	require.Contains(t, string(out), "300 links: 1 fetched")
	require.Contains(t, string(out), "stopped (there were enough files), at least 299 left: ")
	require.Contains(t, string(out), "links.txt:301: this is not a list of links")
	out, err = again(cmd).CombinedOutput()
	require.Equal(t, 2, exitCodeOf(t, err), string(out))
}

func TestClearLeavesTheJobThatRuns(t *testing.T) {
	o := testorigin.New(t)
	list := batchList(t, o, 0)
	cmd, cache := dlm(t, "batch", list)
	require.NoError(t, cmd.Start())
	<-o.Arrived("/stuck", 1)
	clearing := exec.Command("dlm", "cache", "clear", "--yes")
	clearing.Env = cmd.Env
	out, err := clearing.CombinedOutput()
	require.Equal(t, 8, exitCodeOf(t, err), string(out))
	require.Contains(t, string(out), fmt.Sprintf("is in use by process %d", cmd.Process.Pid))
	jobs, err := filepath.Glob(filepath.Join(cache, ".dlm", "jobs", "*"))
	require.NoError(t, err)
	require.Len(t, jobs, 1)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
}
