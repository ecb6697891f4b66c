package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// describeMachine says on what the figures were taken.
func describeMachine(ctx context.Context, p *place) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "- "+format+"\n", args...) }
	b.WriteString("## The machine\n\n")
	total, _ := memInfo("MemTotal") // 0 says enough
	line("%s, %d cores shared with the server, %.0f GiB of memory", cpuModel(), runtime.NumCPU(), float64(total)/gib)
	line("%s, Linux %s; %s in %s, %s in %s", system(), release(),
		fileSystem(p.work), p.config.dir, fileSystem(p.diskWork), p.config.disk)
	line("%s, %s", goVersion(), strings.Join(versions(ctx), ", "))
	line("%d runs each, scale %g, load when it began: %s", p.runs, p.scale, load())
	return b.String()
}

// versions returns what the programs that are installed call themselves.
func versions(ctx context.Context) []string {
	var found []string
	for _, name := range []string{"nginx", "curl", "aria2c", "wget", "wget2", "axel"} {
		program, flag := name, "--version"
		if name == "nginx" {
			program, flag = nginxProgram(), "-v"
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		said, err := exec.CommandContext(ctx, program, flag).CombinedOutput()
		cancel()
		if err == nil {
			found = append(found, name+" "+versionIn(string(said)))
		}
	}
	return append(found, goGetterName+" "+goGetterVersion())
}

func nginxProgram() string {
	program, err := findNginx()
	if err != nil {
		return "nginx"
	}
	return program
}

// versionIn returns the first word of a text that begins like a version.
func versionIn(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" /\n", r) })
	for _, w := range words {
		if w[0] >= '0' && w[0] <= '9' && strings.Contains(w, ".") {
			return w
		}
	}
	return "?"
}

func goVersion() string { return strings.Replace(runtime.Version(), "go", "Go ", 1) }

// goGetterVersion reads it from the driver's go.mod.
func goGetterVersion() string {
	text, _ := os.ReadFile("gogetter/go.mod")
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 && strings.HasSuffix(words[len(words)-2], "hashicorp/go-getter") {
			return strings.TrimPrefix(words[len(words)-1], "v")
		}
	}
	return "?"
}

func cpuModel() string { return valueIn("/proc/cpuinfo", "model name") }

func system() string { return strings.Trim(valueIn("/etc/os-release", "PRETTY_NAME"), `"`) }

// valueIn returns the first value of a key in a file of lines like key: value
// or key=value.
func valueIn(file, key string) string {
	text, _ := os.ReadFile(file) // what cannot be read is not known
	for line := range strings.Lines(string(text)) {
		i := strings.IndexAny(line, ":=")
		if i >= 0 && strings.TrimSpace(line[:i]) == key {
			return strings.TrimSpace(line[i+1:])
		}
	}
	return "unknown"
}

// memInfo returns a figure of /proc/meminfo in bytes.
func memInfo(key string) (int64, error) {
	var n int64
	_, err := fmt.Sscanf(valueIn("/proc/meminfo", key), "%d kB", &n)
	return n * kib, err
}

func release() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return string(bytes.TrimRight(u.Release[:], "\x00"))
}

// fileSystem names the kind of the file system that a folder is on.
func fileSystem(dir string) string {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return "unknown"
	}
	names := map[int64]string{
		unix.TMPFS_MAGIC: "tmpfs", unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs",
		unix.BTRFS_SUPER_MAGIC: "btrfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	}
	if name, ok := names[int64(s.Type)]; ok {
		return name
	}
	return fmt.Sprintf("file system %#x", s.Type)
}

func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
