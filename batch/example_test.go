package batch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/batch"
)

// origin is a server with any number of files, and a directory, for the examples.
func origin() (url, dir string, m *dlmanager.DownloadManager, done func()) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "missing") {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, "content of ", r.URL.Path)
	}))
	dir, err := os.MkdirTemp("", "dlmanager-example-")
	if err != nil {
		panic(err)
	}
	m, err = dlmanager.NewDownloadManager(filepath.Join(dir, "cache"))
	if err != nil {
		panic(err)
	}
	return s.URL, dir, m, func() {
		_ = m.Close()
		s.Close()
		_ = os.RemoveAll(dir)
	}
}

func ExampleSwarm() {
	url, _, m, done := origin()
	defer done()
	ctx := context.Background()
	for o := range batch.Swarm(ctx, m, batch.Links(url+"/a", url+"/missing", url+"/b", "nonsense")) {
		fmt.Println(o.State, o.Status, o.Bytes)
	}
	// Output:
	// written 0 13
	// failed 404 0
	// written 0 13
	// failed 0 0
}

func ExampleEach() {
	url, _, m, done := origin()
	defer done()
	type build struct{ number int }
	builds := func(yield func(batch.Item[build]) bool) {
		for n := 1; ; n++ { // without an end: it is taken as far as it is wanted
			link := batch.Link{URL: fmt.Sprint(url, "/build/", n), Name: fmt.Sprint("build-", n)}
			if !yield(batch.Item[build]{Link: link, Value: build{n}}) {
				return
			}
		}
	}
	for o := range batch.Each(context.Background(), m, builds) {
		if o.There() && o.Value.number == 7 {
			fmt.Println("build", o.Value.number, "is there:", filepath.Base(o.Path))
			break
		}
	}
	// Output:
	// build 7 is there: build-7
}

func ExampleResumable() {
	url, dir, m, done := origin()
	defer done()
	ctx := context.Background()
	// A listing of three pages, as a server's interface gives it.
	page := func(_ context.Context, cursor string) (files []string, next string, err error) {
		return []string{url + "/" + cursor + "/x", url + "/" + cursor + "/y"}, map[string]string{"": "p2", "p2": "p3"}[cursor], nil
	}
	store := batch.NewFileStore(filepath.Join(dir, "place"))
	for visit := range 2 {
		pages := batch.NewPages(page, batch.MagicOf("files", map[string]any{"of": "example"}), 0)
		r, err := batch.Resumable(pages, store, slog.Default())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("resuming:", r.Resuming, "at", r.Start)
		for file, err := range r.All(ctx) {
			if err != nil {
				fmt.Println(err)
				return
			}
			o := batch.One(ctx, m, batch.Item[int]{Link: batch.Link{URL: file}})
			fmt.Println(strings.TrimPrefix(file, url), o.State)
			if visit == 0 && strings.HasSuffix(file, "/p2/x") {
				break // the power is cut, say
			}
		}
	}
	// Output:
	// resuming: false at 0
	// //x written
	// //y written
	// /p2/x written
	// resuming: true at 2
	// /p2/x cache hit
	// /p2/y written
	// /p3/x written
	// /p3/y written
}

func ExampleJob() {
	url, dir, m, done := origin()
	defer done()
	ctx := context.Background()
	path := filepath.Join(dir, "links.txt")
	text := "# what is needed\n" + url + "/a\n" + url + "/b b.txt\n" + url + "/missing\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	// The same function is called after a stop, or a kill: it goes on.
	visit := func(limits batch.Limits) error {
		job, err := batch.OpenJob(filepath.Join(dir, "job"), batch.WithMagic(batch.MagicOf("example", nil)))
		if err != nil {
			return err // batch.ErrInUse: somebody else is at it
		}
		list, err := batch.OpenLinkList(path)
		if err != nil {
			return errors.Join(err, job.Close())
		}
		defer list.Close()
		if _, err := job.AddList(ctx, list); err != nil {
			return errors.Join(err, job.Close())
		}
		report, err := job.Run(ctx, m, limits, nil)
		fmt.Printf("%s: %d written, %d failed, %d left\n", report.Reason, report.Written, report.Failed, report.Left)
		for f := range job.Failures() {
			fmt.Printf("line %d: status %d\n", f.Line, f.Status)
		}
		return errors.Join(err, job.Close())
	}
	fmt.Println(visit(batch.Limits{Files: 1}))
	fmt.Println(visit(batch.Limits{}))
	// Output:
	// there were enough files: 1 written, 0 failed, 2 left
	// <nil>
	// nothing is left to do: 1 written, 1 failed, 0 left
	// line 4: status 404
	// <nil>
}

func ExampleLinkList() {
	list := batch.NewLinkList(strings.NewReader("https://example.com/a.tgz\nexample.com/b.tgz\nhttps://example.com/c.tgz c/1.tgz\n"), "links.txt")
	for {
		link, err := list.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return
		}
		fmt.Println(link.Line, link.URL, link.Name, err)
	}
	// Output:
	// 1 https://example.com/a.tgz  <nil>
	// 2   links.txt:2: bad URL example.com/b.tgz: it has no scheme: write https://…
	// 3 https://example.com/c.tgz c/1.tgz <nil>
}
