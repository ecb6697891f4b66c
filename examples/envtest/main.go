// Envtest runs a command with the programs of a Kubernetes test environment at hand, as
// setup-envtest does. An index, asked for again after an hour, says where they are; they
// are unpacked once per host, and kept from eviction while the command runs.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/unpack"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: envtest VERSION COMMAND [ARG...]")
	}
	ctx, version := context.Background(), os.Args[1]
	cache, err := os.UserCacheDir()
	must(err)
	m, err := dlmanager.NewDownloadManager(filepath.Join(cache, "envtest"), dlmanager.WithSizeLimit(4<<30))
	must(err)
	file, err := m.Get(ctx, os.Getenv("ENVTEST_INDEX"), "index.json",
		dlmanager.WithFreshness(dlmanager.FreshFor(time.Hour)), dlmanager.WithStaleIfError())
	must(err)
	var index struct {
		Releases map[string]map[string]struct{ Hash, SelfLink string } // by version and archive
	}
	must(json.NewDecoder(file).Decode(&index))
	name := "envtest-" + version + "-" + runtime.GOOS + "-" + runtime.GOARCH + ".tar.gz"
	archive, ok := index.Releases[version][name]
	if !ok {
		log.Fatalf("the index does not have %s", name)
	}
	assets, err := m.GetDir(ctx, archive.SelfLink, name, unpack.Options{Strip: 2}.Fill, dlmanager.WithChecksum("sha512:"+archive.Hash))
	must(err)
	signal.Notify(make(chan os.Signal, 1), os.Interrupt) // a terminal tells the command, too, and that decides
	command := exec.Command(os.Args[2], os.Args[3:]...)
	command.Env = append(os.Environ(), "KUBEBUILDER_ASSETS="+assets.Path())
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	must(command.Start())
	_ = command.Wait() // its exit code says the same
	must(m.Close())    // until here nobody evicts them
	os.Exit(command.ProcessState.ExitCode())
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
