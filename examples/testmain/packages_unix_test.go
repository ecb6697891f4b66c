//go:build unix

package testmain

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// packages is how many packages are tested at once.
const packages = 30

// TestManyPackagesAtOnce runs the example as go test does: each package is a process.
func TestManyPackagesAtOnce(t *testing.T) {
	if tool != "" {
		t.Skip("this is one of the packages")
	}
	content := "#!/bin/sh\necho tool \"$@\"\n" + strings.Repeat("# as long as a program may be\n", 30_000)
	o := testorigin.New(t)
	url := o.Serve("/tool", []byte(content))
	home := t.TempDir()
	env := append(os.Environ(), "TOOL_URL="+url, fmt.Sprintf("TOOL_SUM=sha256:%x", sha256.Sum256([]byte(content))),
		"HOME="+home, "XDG_CACHE_HOME="+home, "GORACE=atexit_sleep_ms=0")
	var wg sync.WaitGroup
	for range packages {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestTool$", "-test.v")
			cmd.Env = env
			out, err := cmd.CombinedOutput()
			assert.NoError(t, err, "%s", out)
			assert.Contains(t, string(out), "--- PASS: TestTool")
		})
	}
	wg.Wait()
	require.Equal(t, 1, o.Count("/tool"))
	left, err := filepath.Glob(filepath.Join(home, "*", ".dlm", "partial", "*.part"))
	require.NoError(t, err)
	require.Empty(t, left)
}
