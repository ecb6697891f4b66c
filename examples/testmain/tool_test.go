// Package testmain shows how the tests of a package get a program that they need:
// go test ./... runs many packages at once, the program is fetched once per host, and
// none of them can lose it while its tests run.
package testmain

import (
	"context"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/dlmanager/dlmanager"
)

// tool is the path of the program; "": there is none.
var tool string

func TestMain(m *testing.M) {
	os.Exit(withTool(m.Run))
}

// withTool runs the tests while the program is there.
func withTool(run func() int) int {
	url := os.Getenv("TOOL_URL")
	if url == "" {
		return run()
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		log.Fatal(err)
	}
	m, err := dlmanager.NewDownloadManager(filepath.Join(cache, "tests"), dlmanager.WithSizeLimit(1<<30))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close() // ends the lease
	file, err := m.Get(context.Background(), url, "tool", dlmanager.WithMode(0o777), dlmanager.WithChecksum(os.Getenv("TOOL_SUM")))
	if err != nil {
		log.Fatal(err)
	}
	tool = file.Path()
	return run()
}

func TestTool(t *testing.T) {
	if tool == "" {
		t.Skip("TOOL_URL does not say where the tool is")
	}
	out, err := exec.Command(tool, "version").Output()
	if err != nil || string(out) != "tool version\n" {
		t.Fatalf("got %q, %v", out, err)
	}
}
