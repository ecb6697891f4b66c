package dlmanager_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dlmanager/dlmanager"
)

// bisection looks for the first bad one of many builds. While a build is tried, the
// two that may be wanted next are fetched in the background.
type bisection struct {
	m    *dlmanager.DownloadManager
	base string
}

// fetch starts the download of a build, joins the one that runs, or finds the file.
func (b *bisection) fetch(build int) *dlmanager.Download {
	name := fmt.Sprint("build-", build)
	return b.m.Download(b.base+"/"+name, name)
}

// focus attaches progress to the build that is wanted now, cancels all others, and
// waits for it.
func (b *bisection) focus(wanted *dlmanager.Download) (path string, err error) {
	wanted.SetProgress(func(d *dlmanager.Download, current, total int64) {
		if current == total {
			fmt.Printf("  %s: %d bytes\n", filepath.Base(d.Dest()), total)
		}
	})
	b.m.Cancel(func(d *dlmanager.Download) bool { return d != wanted })
	if err := wanted.Wait(); err != nil {
		return "", err
	}
	return wanted.Dest(), nil
}

// firstBad returns the first bad build behind good, up to bad.
func (b *bisection) firstBad(good, bad int, isBad func(path string) bool) (int, error) {
	for bad-good > 1 {
		middle := good + (bad-good)/2
		path, err := b.focus(b.fetch(middle))
		if err != nil {
			return 0, err
		}
		// One of these two is next, whatever the verdict; it takes its time.
		b.fetch(good + (middle-good)/2)
		b.fetch(middle + (bad-middle)/2)
		if verdict := isBad(path); verdict {
			bad = middle
		} else {
			good = middle
		}
	}
	return bad, nil
}

// This client bisects over builds. Both candidates for the next step are fetched in
// the background while a build is tried; the verdict focuses one of them, and cancels
// the other.
func Example_bisect() {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		build, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/build-"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		if build >= 77 {
			fmt.Fprint(w, "broken")
			return
		}
		fmt.Fprint(w, "all right")
	}))
	defer s.Close()
	dir, err := os.MkdirTemp("", "dlmanager-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	m, err := dlmanager.NewDownloadManager(filepath.Join(dir, "builds"), dlmanager.WithSizeLimit(10<<30), dlmanager.WithHooks(dlmanager.Hooks{
		Finished: func(d *dlmanager.Download) {
			if err := d.Err(); err != nil && !errors.Is(err, dlmanager.ErrCanceled) {
				fmt.Println(err)
			}
		},
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	b := &bisection{m, s.URL}
	first, err := b.firstBad(0, 100, func(path string) bool {
		text, err := os.ReadFile(path)
		return err == nil && string(text) == "broken"
	})
	fmt.Println("the first bad build is", first, err)
	// Output:
	//   build-50: 9 bytes
	//   build-75: 9 bytes
	//   build-87: 6 bytes
	//   build-81: 6 bytes
	//   build-78: 6 bytes
	//   build-76: 9 bytes
	//   build-77: 6 bytes
	// the first bad build is 77 <nil>
}
