package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// TestMain makes the test binary, called dlm, the command itself.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dlm": main})
}

// TestScripts runs the scripts in testdata/script, one rule of the command each.
// They have an origin at $URL, the same over TLS with a file at $HTTPS, whose
// authority is in ca.pem, a proxy that wants credentials at $PROXY, and the cache
// in $WORK/cache.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               setUpScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":     runForCode,
			"requests": countRequests,
			"lease":    leaseFile,
			"used":     setLastUse,
			"envsubst": expandFile,
		},
	})
}

// raceOptions keeps the race detector, where it is built in, from holding each
// process up for a second at its end.
const raceOptions = "atexit_sleep_ms=0"

type originKey struct{}

func setUpScript(env *testscript.Env) error {
	t := env.T().(testing.TB)
	o := testorigin.New(t)
	serveScripts(o)
	env.Values[originKey{}] = o
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("secure\n"))
	}))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes fail on purpose
	secure.StartTLS()
	env.Defer(secure.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	env.Defer(proxy.Close)
	env.Setenv("PROXY", proxy.URL)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(env.WorkDir, "ca.pem"), ca, 0o666); err != nil {
		return err
	}
	env.Setenv("URL", o.URL(""))
	env.Setenv("ALT", o.AltURL("")) // another host, of the same resources
	env.Setenv("HOST", strings.TrimPrefix(o.URL(""), "http://"))
	env.Setenv("HTTPS", secure.URL+"/file")
	env.Setenv("DLM_CACHE_DIR", filepath.Join(env.WorkDir, "cache"))
	env.Setenv("DLM_ATTEMPTS", "1")    // scripts about failures need not wait
	env.Setenv("DLM_PROGRESS", "none") // else it speaks where a slow machine takes five seconds
	env.Setenv("GORACE", raceOptions)
	return nil
}

// serveScripts gives the origin what the scripts ask for.
func serveScripts(o *testorigin.Origin) {
	o.Serve("/hello.txt", []byte("hello\n"))
	o.Serve("/pack-1.tgz", packOf("one"))
	o.Serve("/pack-2.tgz", packOf("two"))
	o.Serve("/tool", []byte("#!/bin/sh\necho tool runs\n"))
	o.Serve("/echo", []byte("#!/bin/sh\nfor arg; do printf '%s|' \"$arg\"; done; echo\n"))
	o.Serve("/exit", []byte("#!/bin/sh\nexit $1\n"))
	o.Serve("/kill", []byte("#!/bin/sh\nkill -KILL $$\n"))
	o.Serve("/cat", []byte("#!/bin/sh\ncat\n"))
	o.Serve("/nointerpreter", []byte("#!/no/such/interpreter\n"))
	o.Serve("/v1/sums", []byte("one\n"))
	o.Serve("/v2/sums", []byte("two\n"))
	o.Serve("/gone", nil, testorigin.Status(http.StatusGone, "gone"))
	o.Serve("/busy", nil, testorigin.Status(http.StatusServiceUnavailable, "busy"), testorigin.RetryAfter("7"))
	o.Serve("/quota", nil, testorigin.Status(http.StatusForbidden, "slow down"), testorigin.Header("X-RateLimit-Remaining", "0"))
	o.Serve("/teapot", nil, testorigin.Status(http.StatusTeapot, "short and stout"))
	o.Serve("/login", []byte("secret\n"), testorigin.RequireBasicAuth("user", "word"))
	o.Serve("/token", []byte("secret\n"), testorigin.RequireHeader("X-Token", "s3cret"))
	o.Serve("/gh/hello.txt", []byte("mirrored\n"))
	o.Serve("/gh/token", []byte("mirrored\n"), testorigin.RequireHeader("X-Token", "s3cret"))
	o.Serve("/get", []byte("got\n"))
	o.Serve("/moving", []byte("one\n"), testorigin.Sequence(testorigin.OK(), testorigin.Body([]byte("two\n"))))
	o.Serve("/agent", []byte("agent\n"), testorigin.RequireHeader("User-Agent", "probe/1"))
	o.Serve("/cut", []byte("this is cut"), testorigin.CutAfter(4))
	o.Serve("/short", []byte("this is short"), testorigin.ContentLength("100"))
	o.Serve("/gzip", []byte("text"), testorigin.Gzip())
	o.Serve("/endless", nil, testorigin.Endless())
	o.Serve("/loop", nil, testorigin.RedirectLoop(http.StatusFound))
	o.Serve("/elsewhere", nil, testorigin.Redirect("ftp://example.com/file", http.StatusFound))
	o.ServeSize("/flaky", 1000, testorigin.ETag(`"v1"`), testorigin.Sequence(testorigin.CutAfter(400), testorigin.OK()))
	o.ServeSize("/flaky2", 1000, testorigin.ETag(`"v1"`), testorigin.Sequence(testorigin.CutAfter(400), testorigin.OK()))
	o.Serve("/sums", []byte("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  hello.txt\n"+
		"5d37f0744e589cb79b4add377661fd84c7505a25830ec03d27b2afd384a35f66  tool\n"))
	for _, path := range []string{"/halves", "/halves2"} {
		o.ServeSize(path, 4<<20, testorigin.ETag(`"v1"`), testorigin.Sequence(testorigin.CutAfter(2<<20), testorigin.OK()))
	}
	o.Serve("/dated", []byte("dated\n"), testorigin.LastModified(time.Now().Add(-time.Hour)))
	o.Serve("/fading", []byte("fading\n"), testorigin.Sequence(testorigin.OK(), testorigin.Status(http.StatusServiceUnavailable, "away")))
	o.Serve("/pack.tar.gz", tarGz("pack/bin/tool", "#!/bin/sh\necho packed tool runs\n", "pack/doc.txt", "text\n"))
	o.Serve("/evil.tar.gz", tarGz("../out", "out\n"))
	o.Serve("/silent", nil, testorigin.Silent())
	o.Serve("/unproven", []byte("unproven\n"), testorigin.CloseDelimited())
	o.ServeSize("/big", 1<<20)
	o.Serve("/control", nil, testorigin.Status(http.StatusBadRequest, "red \x1b[31m alert"), testorigin.ContentType("text/plain"))
}

// packOf is an archive with a program that says what it is, a text and a link to it.
func packOf(version string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	add := func(h tar.Header, content string) {
		h.Size, h.ModTime = int64(len(content)), time.Unix(1e9, 0)
		if err := errors.Join(w.WriteHeader(&h), func() error { _, err := io.WriteString(w, content); return err }()); err != nil {
			panic(err)
		}
	}
	add(tar.Header{Name: "pack/bin/run", Mode: 0o755}, "#!/bin/sh\necho version "+version+"\n")
	add(tar.Header{Name: "pack/text", Mode: 0o644}, version+"\n")
	add(tar.Header{Name: "pack/link", Typeflag: tar.TypeSymlink, Linkname: "text"}, "")
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// tarGz returns an archive of files, each a name and its content, which are executable.
func tarGz(files ...string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		header := &tar.Header{Name: files[i], Mode: 0o755, Size: int64(len(files[i+1])), Format: tar.FormatUSTAR}
		_ = w.WriteHeader(header) // to memory: it cannot fail
		_, _ = w.Write([]byte(files[i+1]))
	}
	_, _ = w.Close(), z.Close()
	return b.Bytes()
}

// runForCode runs a command and wants its exit code: code 3 dlm get …
func runForCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// countRequests wants a number of requests for a path: requests /hello.txt 1
func countRequests(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: requests PATH N")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	if got := ts.Value(originKey{}).(*testorigin.Origin).Count(args[0]); got != want {
		ts.Fatalf("%d requests for %s, want %d", got, args[0], want)
	}
}

// expandFile puts the variables of the script into a file: envsubst FILE
func expandFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: envsubst FILE")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o666))
}

// leaseFile keeps a file of the cache open until the script ends: lease NAME
func leaseFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lease NAME")
	}
	m, err := dlmanager.NewDownloadManager(ts.MkAbs("cache"), dlmanager.WithExisting(), dlmanager.WithSizeLimit(0))
	ts.Check(err)
	file, err := m.Open(args[0])
	ts.Check(err)
	ts.Defer(func() {
		ts.Check(file.Close())
		ts.Check(m.Close())
	})
}

// setLastUse makes a file look as if it was used last on a day: used 2020-01-31 FILE
func setLastUse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: used DAY FILE")
	}
	day, err := time.Parse(time.DateOnly, args[0])
	ts.Check(err)
	ts.Check(os.Chtimes(ts.MkAbs(args[1]), day, day))
}
