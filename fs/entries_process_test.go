package fs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorderEnv makes the test binary a process that records entries: DIR, a tab,
// and what their names begin with.
const recorderEnv = "DLMANAGER_TEST_RECORDER"

const recordedByEach = 10_000

func recordMany(args string) int {
	dir, prefix, _ := strings.Cut(args, "\t")
	d, err := Open(afero.NewOsFs(), dir, Options{})
	for i := 0; i < recordedByEach && err == nil; i++ {
		err = d.Record(sampleEntry(fmt.Sprint(prefix, i)))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func TestNothingIsLostWhileTheJournalIsWrittenAnew(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, afero.NewOsFs(), dir)
	require.NoError(t, d.Record(sampleEntry("file")))
	prefixes := []string{"a", "b"}
	over := make(chan error)
	for _, prefix := range prefixes {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), recorderEnv+"="+dir+"\t"+prefix)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		require.NoError(t, cmd.Start())
		go func() {
			if err := cmd.Wait(); err != nil {
				over <- fmt.Errorf("%w: %s", err, out.String())
				return
			}
			over <- nil
		}()
	}
	anew := 0
	for running := len(prefixes); running > 0; {
		select {
		case err := <-over:
			running--
			assert.NoError(t, err)
		default:
			d.entries.compacted.Store(0)
			assert.NoError(t, d.entries.compact(t.Context()))
			anew++
		}
	}
	t.Log("written anew", anew, "times")
	other := openDir(t, afero.NewOsFs(), dir)
	for _, prefix := range prefixes {
		for i := range recordedByEach {
			_, ok := other.Lookup(fmt.Sprint(prefix, i))
			require.True(t, ok, "%s%d", prefix, i)
		}
	}
	_, ok := other.Lookup("file")
	assert.True(t, ok)
	requireNoPartials(t, d)
}
