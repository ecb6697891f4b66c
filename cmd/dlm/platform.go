package main

import (
	"runtime"
	"slices"
	"strings"
)

// platform is a system and a processor, as Go calls them.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// exe is what the names of programs end in.
func (p platform) exe() string {
	if p.os == "windows" {
		return ".exe"
	}
	return ""
}

func thisPlatform() platform { return platform{runtime.GOOS, runtime.GOARCH} }

// The names that Go has (go tool dist list). One that is not among them is a slip.
var (
	knownOS = []string{
		"linux", "darwin", "windows", "aix", "android", "dragonfly", "freebsd", "illumos", "ios", "js",
		"netbsd", "openbsd", "plan9", "solaris", "wasip1",
	}
	knownArch = []string{
		"amd64", "arm64", "386", "arm", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le",
		"riscv64", "s390x", "wasm",
	}
)

// platformFrom is the one that --os and --arch say, else this one.
func platformFrom(f *syncFlags) (platform, error) {
	p := thisPlatform()
	for _, given := range []struct {
		flag, value string
		known       []string
		to          *string
	}{{"os", f.os, knownOS, &p.os}, {"arch", f.arch, knownArch, &p.arch}} {
		switch {
		case given.value == "":
		case slices.Contains(given.known, given.value):
			*given.to = given.value
		default:
			return p, f.unknownPlatform(given.flag, given.value, given.known)
		}
	}
	return p, nil
}

func (f *syncFlags) unknownPlatform(flag, value string, known []string) error {
	hint := "there are " + strings.Join(known, ", ")
	if near := nearest(value, known); near != "" {
		hint = "did you mean " + near + "?"
	}
	return &usageError{given(f.flags, flag) + " " + value + " is not known to Go", hint}
}

// checkPlatform refuses a key that is not written os/arch.
func (f field) checkPlatform() error {
	system, processor, _ := strings.Cut(f.key(), "/")
	if slices.Contains(knownOS, system) && slices.Contains(knownArch, processor) {
		return nil
	}
	var all []string
	for _, os := range knownOS {
		for _, arch := range knownArch {
			all = append(all, os+"/"+arch)
		}
	}
	hint := `a platform is written "linux/amd64"`
	if near := nearest(f.key(), all); near != "" {
		hint = "did you mean " + near + "?"
	}
	return f.problem(hint, "there is no platform %q", f.key())
}
