// Wrapper runs the version of a tool that a project asks for, as bazelisk does: the
// version stands in the nearest .tool-version, and is fetched once per host, checked
// against the publisher's SHA256SUMS, and kept from eviction while it runs.
package main

import (
	"context"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/dlmanager/dlmanager"
)

func main() {
	log.SetFlags(0)
	cache, err := os.UserCacheDir()
	must(err)
	m, err := dlmanager.NewDownloadManager(filepath.Join(cache, "tool"), dlmanager.WithSizeLimit(1<<30))
	must(err)
	version := projectVersion()
	release := os.Getenv("TOOL_BASE_URL") + "/" + version
	program, err := m.Get(context.Background(), release+"/tool-"+runtime.GOOS+"-"+runtime.GOARCH, "tool-"+version,
		dlmanager.WithMode(0o777), dlmanager.WithChecksum(release+"/SHA256SUMS"), dlmanager.WithNetrc(dlmanager.DefaultNetrcPath()))
	must(err)
	signal.Notify(make(chan os.Signal, 1), os.Interrupt) // a terminal tells the tool, too, and that decides
	tool := exec.Command(program.Path(), os.Args[1:]...)
	tool.Stdin, tool.Stdout, tool.Stderr = os.Stdin, os.Stdout, os.Stderr
	must(tool.Start())
	_ = tool.Wait() // its exit code says the same
	must(m.Close()) // until here nobody evicts it
	os.Exit(tool.ProcessState.ExitCode())
}

// projectVersion looks in this directory, and then in those above it.
func projectVersion() string {
	dir, err := os.Getwd()
	must(err)
	for dir != filepath.Dir(dir) {
		if text, err := os.ReadFile(filepath.Join(dir, ".tool-version")); err == nil {
			return strings.TrimSpace(string(text))
		}
		dir = filepath.Dir(dir)
	}
	log.Fatal("there is no .tool-version here")
	return ""
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
