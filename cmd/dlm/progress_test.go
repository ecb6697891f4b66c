package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestPlainIsSilentForShortWork(t *testing.T) {
	var said bytes.Buffer
	d := &plainDisplay{ui: newUI(nil, &said)}
	d.show(view{elapsed: plainEvery - time.Millisecond, files: 1})
	d.end(view{elapsed: plainEvery, files: 1, done: 1, fetched: 1, landed: 1})
	require.Empty(t, said.String())
}

func TestWhichDisplayIsChosen(t *testing.T) {
	for args, want := range map[string]display{
		"":                         &plainDisplay{}, // where there is no terminal
		"--quiet":                  noDisplay{},
		"--progress=auto":          &plainDisplay{},
		"--progress=bar":           &barDisplay{},
		"--progress=plain":         &plainDisplay{},
		"--progress=json":          &jsonDisplay{},
		"--progress=none":          noDisplay{},
		"--progress=plain --quiet": &plainDisplay{},
	} {
		g := &getCommand{ui: newUI(nil, new(bytes.Buffer))}
		flags := newFlagSet(pflag.NewFlagSet("get", pflag.ContinueOnError))
		g.output.register(flags)
		require.NoError(t, flags.Parse(strings.Fields(args)))
		require.IsType(t, want, g.chooseDisplay(), args)
	}
}

func TestBarsAreSilentForShortWork(t *testing.T) {
	var screen bytes.Buffer
	d := &barDisplay{ui: newUI(nil, &screen)}
	d.end(view{elapsed: time.Second, files: 1, done: 1, fetched: 1, landed: 1}) // it was over before the first look
	require.Empty(t, screen.String())
}

func TestPlainSpeaksEveryFewSeconds(t *testing.T) {
	var said bytes.Buffer
	d := &plainDisplay{ui: newUI(nil, &said)}
	r := row{label: "tool", state: "transferring", current: 50 << 20, total: 200 << 20, rate: 10 << 20}
	for at := time.Duration(0); at <= 12*time.Second; at += lookEvery {
		d.show(view{elapsed: at, files: 1, running: []row{r}})
	}
	d.end(view{elapsed: 20 * time.Second, files: 1, done: 1, fetched: 1, landed: 200 << 20})
	const line = "dlm: tool: 50.0 MiB of 200 MiB (25%), 10.0 MiB/s, 15s left\n"
	require.Equal(t, line+line+"dlm: fetched 1 file, 200 MiB in 20s (10.0 MiB/s)\n", said.String())
}

func TestPlainLines(t *testing.T) {
	one := row{label: "one", state: "transferring", current: 1 << 20, total: -1, rate: 1 << 10}
	stuck := row{label: "stuck", state: "transferring", silent: 6 * time.Second, total: -1}
	quiet := row{label: "quiet", state: "transferring", silent: 6 * time.Second, current: 5, total: 10}
	for want, v := range map[string]view{
		"one: 1.00 MiB, 1.00 KiB/s":                          {files: 1, running: []row{one}},
		"stuck: no answer for 6s":                            {files: 1, running: []row{stuck}},
		"quiet: 5 B of 10 B (50%), no data for 6s":           {files: 1, running: []row{quiet}},
		"2/4 files, 1 failed: 10 B; stuck: no answer for 6s": {files: 4, done: 2, failed: 1, current: 10, total: -1, running: []row{one, stuck}},
		"0/2 files: 5 B of 10 B (50%), 1 B/s, 5s left":       {files: 2, current: 5, total: 10, rate: 1},
		"0/1 files: starting":                                {files: 1, total: -1},
		"late: 10 B of 10 B (100%), flushing to disk":        {files: 1, running: []row{{label: "late", state: "landing", current: 10, total: 10}}},
		"late: 10 B of 10 B (100%), placing the copy":        {files: 1, running: []row{{label: "late", state: "placing", current: 10, total: 10}}},
		"0/2 files: starting; late: placing the copy":        {files: 2, total: -1, running: []row{{label: "late", state: "placing"}}},
	} {
		t.Run(want, func(t *testing.T) { require.Equal(t, want, plainLine(v)) })
	}
}

func TestBoardSeesSilenceAndTheEnd(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	url := o.ServeSize("/file", 100, testorigin.GateAfter(40, gate))
	m, err := dlmanager.NewDownloadManager(t.TempDir())
	require.NoError(t, err)
	defer m.Close()
	first := make(chan struct{})
	j := &job{url: url, name: "file", label: "fi\x1ble"}
	j.download = m.Download(url, "file", dlmanager.WithProgress(func(_ *dlmanager.Download, current, _ int64) {
		if current == 40 {
			close(first)
		}
	}))
	<-first

	now := time.Unix(0, 0)
	b := newBoard([]*job{j, {name: "failed", err: os.ErrNotExist}}, now)
	b.jobs[1].over.Store(true)
	v := b.look(now.Add(time.Second))
	require.Equal(t, 1, v.failed)
	require.Equal(t, int64(40), v.current)
	require.Equal(t, int64(100), v.total, "what failed does not count")
	require.Len(t, v.running, 1)
	require.Equal(t, "fi?le", v.running[0].label)
	require.Zero(t, v.running[0].silent)

	v = b.look(now.Add(6 * time.Second))
	require.Equal(t, 5*time.Second, v.running[0].silent)
	require.Zero(t, v.running[0].rate)

	close(gate)
	require.NoError(t, j.download.Wait())
	require.Equal(t, "placing", b.look(now).running[0].state)
	j.result = j.download.Result()
	j.over.Store(true)
	v = b.look(now)
	require.Empty(t, v.running)
	require.Equal(t, 1, v.done)
	require.Equal(t, int64(100), v.landed)
}

func TestJSONProgress(t *testing.T) {
	var said bytes.Buffer
	d := &jsonDisplay{ui: newUI(nil, &said)}
	r := row{url: "https://u:s3cret@h/x?sig=s3cret", name: "h/x", label: "x", state: "transferring", current: 5, total: -1, rate: 2}
	for at := time.Duration(0); at < 2*jsonEvery; at += lookEvery {
		d.show(view{elapsed: at, files: 1, running: []row{r}})
	}
	require.Equal(t, 1, strings.Count(said.String(), "\n"), "one a second")
	require.NotContains(t, said.String(), "s3cret")
	var event map[string]any
	require.NoError(t, json.Unmarshal(said.Bytes(), &event))
	delete(event, "url")
	require.Equal(t, map[string]any{
		"event": "progress", "name": "h/x", "state": "transferring", "current": 5.0, "total": -1.0, "rate": 2.0,
	}, event)
}

func TestBarsKeepLinesApart(t *testing.T) {
	var screen bytes.Buffer
	u := newUI(nil, &screen)
	d := &barDisplay{ui: u}
	v := view{elapsed: time.Second, files: 1, total: -1, widest: 4, running: []row{{label: "tool", state: "transferring", current: 1, total: 2}}}
	d.show(v)
	u.note("a line")
	v.running, v.done, v.fetched, v.landed = nil, 1, 1, 2
	d.end(v)
	u.note("after")
	text := screen.String()
	require.Contains(t, text, "\rdlm: a line\n")
	require.True(t, strings.HasSuffix(text, "dlm: fetched 1 file, 2 B in 1s (2 B/s)\ndlm: after\n"), "%q", text)
}

func TestSameHintOnce(t *testing.T) {
	var said bytes.Buffer
	u := newUI(nil, &said)
	u.failed("one", status(403))
	u.failed("two", status(403))
	require.Equal(t, 1, strings.Count(said.String(), "dlm: hint: "))
	require.Equal(t, 2, strings.Count(said.String(), "server answered"))
}
