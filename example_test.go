package dlmanager_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager"
)

// origin is a server with one file, and a cache directory, for the examples.
func origin() (url, cache string, done func()) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/tool" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("#!/bin/sh\necho hello\n"))
	}))
	temp, err := os.MkdirTemp("", "dlmanager-example-")
	if err != nil {
		panic(err)
	}
	return s.URL, filepath.Join(temp, "cache"), func() {
		s.Close()
		_ = os.RemoveAll(temp)
	}
}

func Example() {
	url, dir, done := origin()
	defer done()

	m, err := dlmanager.NewDownloadManager(dir, dlmanager.WithSizeLimit(10<<30))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	d := m.Download(url+"/tool", "bin/tool", dlmanager.WithMode(0o777))
	if err := d.Wait(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Result().Origin, filepath.Base(d.Dest()))
	fmt.Println(m.Download(url+"/tool", "bin/tool").Result().Origin)
	// Output:
	// fetched tool
	// cached
}

func ExampleDownloadManager_GetDir() {
	url, dir, done := origin()
	defer done()
	m, err := dlmanager.NewDownloadManager(dir, dlmanager.WithSizeLimit(10<<30))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	// Package unpack has fillers for archives. This one makes a folder around the file.
	fill := func(_ context.Context, archive *dlmanager.File, into afero.Fs) error {
		return afero.WriteReader(into, "bin/tool", archive)
	}
	for range 2 {
		tools, err := m.GetDir(context.Background(), url+"/tool", "tools", fill)
		if err != nil {
			fmt.Println(err)
			return
		}
		text, _ := os.ReadFile(filepath.Join(tools.Path(), "bin", "tool"))
		fmt.Printf("%s: %d bytes\n", tools.Result().Origin, len(text))
		_ = tools.Close() // from now on it may be evicted
	}
	// Output:
	// fetched: 21 bytes
	// cached: 21 bytes
}

func ExampleDownloadManager_Wait() {
	url, dir, done := origin()
	defer done()
	m, err := dlmanager.NewDownloadManager(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	m.Download(url+"/tool", "tool")
	m.Download(url+"/missing", "missing")
	if err := m.Wait(); errors.Is(err, dlmanager.ErrNotFound) {
		fmt.Println("something is not there")
	}
	// Output:
	// something is not there
}

func ExampleDownload_SetProgress() {
	url, dir, done := origin()
	defer done()
	d := dlmanager.NewDownload(url+"/tool", filepath.Join(dir, "tool"))
	d.SetProgress(func(_ *dlmanager.Download, current, total int64) {
		fmt.Println(current, "of", total)
	})
	if err := d.Wait(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 0 of 21
	// 21 of 21
}

func ExampleDownload_CopyTo() {
	url, dir, done := origin()
	defer done()
	m, err := dlmanager.NewDownloadManager(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	tool := filepath.Join(filepath.Dir(dir), "bin", "tool")
	if err := m.Download(url+"/tool", "tool").CopyTo(context.Background(), tool, 0o777); err != nil {
		fmt.Println(err)
		return
	}
	text, err := os.ReadFile(tool)
	fmt.Print(string(text), err)
	// Output:
	// #!/bin/sh
	// echo hello
	// <nil>
}

func ExampleDownloadManager_Get() {
	url, dir, done := origin()
	defer done()
	m, err := dlmanager.NewDownloadManager(dir, dlmanager.WithSizeLimit(10<<30))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	// The file is in the cache, and stays there, until it is closed.
	f, err := m.Get(context.Background(), url+"/tool", "bin/tool", dlmanager.WithMode(0o777))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	fmt.Println(f.Name(), f.Size(), filepath.Base(f.Path()))
	_, err = f.WriteTo(os.Stdout)
	fmt.Println(err)
	// Output:
	// bin/tool 21 tool
	// #!/bin/sh
	// echo hello
	// <nil>
}

func ExampleDownloadManager_Open() {
	url, dir, done := origin()
	defer done()
	m, err := dlmanager.NewDownloadManager(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	if _, err := m.Open("tool"); errors.Is(err, dlmanager.ErrNotCached) {
		fmt.Println("not there yet")
	}
	if err := m.Download(url+"/tool", "tool").Wait(); err != nil {
		fmt.Println(err)
		return
	}
	f, err := m.Open("tool")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	fmt.Print(string(text), err)
	// Output:
	// not there yet
	// #!/bin/sh
	// echo hello
	// <nil>
}

func ExampleWithFreshness() {
	url, dir, done := origin()
	defer done()
	m, err := dlmanager.NewDownloadManager(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	for _, age := range []time.Duration{time.Hour, time.Hour, 0} {
		d := m.Download(url+"/tool", "tool", dlmanager.WithFreshness(dlmanager.FreshFor(age)), dlmanager.WithStaleIfError())
		if err := d.Wait(); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(d.Result().Origin)
	}
	// Output:
	// fetched
	// cached
	// revalidated
}

func ExampleDownloadManager_Verify() {
	url, dir, done := origin()
	defer done()
	m, err := dlmanager.NewDownloadManager(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	d := m.Download(url+"/tool", "tool")
	if err := d.Wait(); err != nil {
		fmt.Println(err)
		return
	}
	_ = os.Truncate(d.Dest(), 10)
	report, err := m.Verify(context.Background(), dlmanager.VerifyOptions{Repair: true})
	for _, damage := range report.Damaged {
		fmt.Println(damage.Name, "want", damage.Want, "got", damage.Got, "removed", damage.Removed)
	}
	fmt.Println(report.Files, err)
	// Output:
	// tool want 21 bytes got 10 bytes removed true
	// 1 <nil>
}
