package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// contender is a way to do a scenario's job.
type contender struct {
	name         string
	shown        string // its command line, for the reader
	program      string // on the PATH; "" for what we build
	flag         string // of dlm get, without which it cannot take part
	ours         bool   // the one that the others are compared with
	keepsNothing bool   // there is no file to verify
	command      func(j *job) (command, error)
	before       func(j *job) (command, error) // not measured; nil for nothing
}

const goGetterName = "go-getter"

// aptLine brings all programs that Debian has.
const aptLine = "apt-get install --no-install-recommends nginx curl aria2 wget wget2 axel"

// available parts contenders into those who can take part, as rows, and the
// reasons of the others.
func (p *place) available(all []contender) (rows []*row, missing []string) {
	for _, c := range all {
		if reason := p.lacks(c); reason != "" {
			missing = append(missing, fmt.Sprintf("%s: %s", c.name, reason))
			continue
		}
		rows = append(rows, &row{contender: c})
	}
	return rows, missing
}

// lacks says why a contender cannot take part, if so.
func (p *place) lacks(c contender) string {
	switch {
	case slices.Contains(p.without, c.program) && c.program != "":
		return "by -without"
	case c.flag != "" && !strings.Contains(p.dlmFlags, c.flag+" "):
		return fmt.Sprintf("not available: this dlm get has no %s", c.flag)
	case c.program == goGetterName:
		if p.goGetter == "" {
			return "it could not be built"
		}
	case c.program != "":
		if _, err := exec.LookPath(c.program); err != nil {
			return "not installed (" + aptLine + ")"
		}
	}
	return ""
}

// dlmGet is dlm get with a fresh cache directory, and more flags; with TLS also
// --cacert.
func dlmGet(name string, flags ...string) contender {
	shown := strings.Join(append([]string{"dlm get --cache-dir DIR"}, append(slices.Clone(flags), "URL")...), " ")
	return contender{name: name, shown: shown, ours: true, command: func(j *job) (command, error) {
		args := append([]string{j.place.dlm, "get", "--cache-dir", j.dir}, flags...)
		if strings.HasPrefix(j.base, "https:") {
			args = append(args, "--cacert", j.place.nginx.ca)
		}
		for _, f := range j.files {
			args = append(args, j.url(f))
		}
		return command{args: args}, nil
	}}
}

// dlmBatch is dlm batch with a fresh cache directory, and a job in it.
func dlmBatch(name string, flags ...string) contender {
	shown := strings.Join(append([]string{"dlm batch --cache-dir DIR"}, append(slices.Clone(flags), "LIST")...), " ")
	c := contender{name: name, shown: shown, ours: true, command: func(j *job) (command, error) {
		args := append([]string{j.place.dlm, "batch", "--cache-dir", j.dir}, flags...)
		return command{args: append(args, j.list)}, nil
	}}
	return c.listing(urlLine)
}

// against makes a contender of ours one of the others.
func (c contender) against() contender {
	c.ours = false
	return c
}

func (c contender) needing(flag string) contender {
	c.flag = flag
	return c
}

func (c contender) called(name string) contender {
	c.name = name
	return c
}

// tool is a program that fetches one file. In its arguments URL, PATH, DIR,
// NAME, SUM and CA stand for those of the run; CA only with TLS.
func tool(name, program, args string) contender {
	return contender{name: name, shown: program + " " + args, program: program, command: func(j *job) (command, error) {
		return command{args: j.fill(program, args)}, nil
	}}
}

func (j *job) fill(program, args string) []string {
	url, path := j.one()
	values := map[string]string{
		"URL": url, "PATH": path, "DIR": j.dir, "NAME": j.files[0].name, "SUM": j.files[0].sum,
		"CA": j.place.nginx.ca, "LIST": j.list,
	}
	words := append([]string{program}, strings.Fields(args)...)
	for i, w := range words {
		for key, value := range values {
			if rest, ok := strings.CutSuffix(w, key); ok {
				words[i] = rest + value
				break
			}
		}
	}
	return words
}

// shell is a script; its arguments are those of tool, as $1 and so on.
func shell(name, program, script, args string) contender {
	return contender{name: name, shown: script, program: program, command: func(j *job) (command, error) {
		words := j.fill("sh", args)
		return command{args: append([]string{"/bin/sh", "-c", script}, words...)}, nil
	}}
}

// driver is this program, as itself.
func driver(name, args string) contender {
	return contender{name: name, shown: "bench drive " + args, command: func(j *job) (command, error) {
		words := j.fill(j.place.self, "drive "+args)
		return command{args: words}, nil
	}}
}

// discardLimit and spliceLimit are what the machine can do at best.
func discardLimit() contender {
	c := driver("*limit: read and discard*", "discard URL")
	c.keepsNothing = true
	return c
}

func spliceLimit() contender { return driver("*limit: splice to a file*", "splice URL PATH") }

func goGetter(tls bool) contender {
	args := "URL PATH"
	if tls {
		args += " CA"
	}
	return contender{name: "go-getter", shown: "HttpGetter.GetFile", program: goGetterName, command: func(j *job) (command, error) {
		return command{args: j.fill(j.place.goGetter, args)}, nil
	}}
}

// listing has a contender read the URLs from a file, which is written before it
// is measured, a file's lines as line makes them.
func (c contender) listing(line func(j *job, f source) string) contender {
	inner := c.command
	c.command = func(j *job) (command, error) {
		var text strings.Builder
		for _, f := range j.files {
			text.WriteString(line(j, f))
			text.WriteByte('\n')
		}
		if err := os.WriteFile(j.list, []byte(text.String()), 0o600); err != nil {
			return command{}, err
		}
		return inner(j)
	}
	return c
}

func urlLine(j *job, f source) string { return j.url(f) }

func curlLines(j *job, f source) string {
	return fmt.Sprintf("url = %q\noutput = %q", j.url(f), filepath.Join(j.dir, f.name))
}
