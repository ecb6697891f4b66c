package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dlmanager/dlmanager"
)

// drive is what this program is as a contender: a process of its own for each
// run, so that it can be measured like any other.
func drive(args []string) int {
	drivers := map[string]func([]string) error{
		"library": driveLibrary, "stat": driveStat, "nothing": driveNothing,
		"discard": driveDiscard, "splice": driveSplice, "bare": driveBare,
	}
	driver := drivers[args[0]]
	if driver == nil {
		fmt.Fprintf(os.Stderr, "no driver %q\n", args[0])
		return 2
	}
	if err := driver(args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// driveLibrary fetches a list of URLs with the library, as a program would that
// has so many workers.
func driveLibrary(args []string) error {
	f := flag.NewFlagSet("library", flag.ContinueOnError)
	dir := f.String("dir", "", "cache directory")
	list := f.String("list", "", "file with a URL on each line")
	parallel := f.Int("parallel", 16, "files at once")
	sync := f.String("sync", "none", "none or file")
	if err := f.Parse(args); err != nil {
		return err
	}
	modes := map[string]dlmanager.SyncMode{"none": dlmanager.SyncNone, "file": dlmanager.SyncFile}
	mode, ok := modes[*sync]
	if !ok {
		return fmt.Errorf("no sync mode %q", *sync)
	}
	urls, err := readLines(*list)
	if err != nil {
		return err
	}
	m, err := dlmanager.NewDownloadManager(*dir, dlmanager.WithMaxConcurrent(*parallel), dlmanager.WithSync(mode))
	if err != nil {
		return err
	}
	if err := fetchAll(m, urls, *parallel); err != nil {
		return err
	}
	return m.Close()
}

func fetchAll(m *dlmanager.DownloadManager, urls []string, parallel int) error {
	return share(urls, parallel, func(work <-chan string) error {
		for u := range work {
			if err := m.Download(u, u[strings.LastIndexByte(u, '/')+1:]).Wait(); err != nil {
				return err
			}
		}
		return nil
	})
}

// share has so many workers share the URLs, and returns the first error of one.
func share(urls []string, workers int, worker func(work <-chan string) error) error {
	work := make(chan string, len(urls))
	for _, u := range urls {
		work <- u
	}
	close(work)
	failed := make(chan error, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			if err := worker(work); err != nil {
				failed <- err
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

func readLines(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []string
	s := bufio.NewScanner(f)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	return lines, s.Err()
}

// driveStat looks at each file of a list once: what hits cost at least.
func driveStat(args []string) error {
	urls, err := readLines(args[1])
	if err != nil {
		return err
	}
	for _, u := range urls {
		if _, err := os.Lstat(filepath.Join(args[0], filepath.Base(u))); err != nil {
			return err
		}
	}
	return nil
}

// driveNothing is what the start of a Go program costs.
func driveNothing([]string) error { return nil }
