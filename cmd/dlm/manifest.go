package main

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/pelletier/go-toml/v2"
)

// A manifest names the files that a project needs: each artifact is a URL, what it
// has to be, and where it goes. It is TOML, and written by people: what is not
// known in it is an error, and every error names the line.

// manifestName is the manifest that is read when none is named.
const manifestName = "dlm.toml"

// manifest is what a file says, whatever the platform.
type manifest struct {
	file      string // as it is named in messages
	dir       string // absolute; destinations are relative to it
	artifacts []*artifact
}

// artifact is one entry, with its templates not filled in yet.
type artifact struct {
	name      string
	version   string
	url       string
	mirrors   []string
	os, arch  map[string]string // how the publisher spells Go's names; nil: as Go does
	checksum  string            // of every platform
	checksums map[string]string // by platform, "linux/amd64"
	mode      os.FileMode       // before the umask; 0: not given
	to        string            // relative to the manifest; "": it stays in the cache
	unpack    bool
	strip     int
	table     field // for the lines
}

// readManifest reads a manifest and refuses all that is wrong with it.
func readManifest(file string) (*manifest, error) {
	text, err := readSettings(file)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, &usageError{"there is no manifest " + file, "dlm sync FILE.toml names another one; dlm sync --help shows what it says"}
	}
	if err != nil {
		return nil, &usageError{text: "the manifest cannot be read: " + err.Error(), hint: "dlm sync FILE.toml names another one"}
	}
	m, err := parseManifest(file, text)
	if err != nil {
		return nil, err
	}
	m.dir, err = filepath.Abs(filepath.Dir(file))
	return m, err
}

// parseManifest reads the text of a manifest. All that is wrong comes in one error,
// in the order of the lines.
func parseManifest(file string, text []byte) (*manifest, error) {
	text = bytes.TrimPrefix(text, byteOrderMark)
	values := map[string]any{}
	if err := toml.Unmarshal(text, &values); err != nil {
		return nil, syntaxProblem(file, err)
	}
	lines, err := linesOf(text)
	if err != nil {
		return nil, syntaxProblem(file, err)
	}
	root := field{file: file, lines: lines, value: values}
	m := &manifest{file: file}
	problems := root.read(map[string]reader{
		"artifact": func(f field) error { return f.each(m.addArtifact) },
	})
	if len(m.artifacts) == 0 && len(problems) == 0 {
		problems = append(problems, &usageError{
			file + ": there is no artifact in it",
			`[artifact.NAME] begins one, and url = "https://…" says where it is`,
		})
	}
	if len(problems) > 0 {
		return nil, inOrder(problems)
	}
	return m, nil
}

// syntaxProblem is what is wrong with the TOML.
func syntaxProblem(file string, err error) error {
	const hint = "the manifest is TOML: https://toml.io says how that is written"
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := bad.Position()
		return &usageError{fmt.Sprintf("%s:%d: %v", file, line, err), hint}
	}
	return &usageError{file + ": " + err.Error(), hint}
}

func (m *manifest) addArtifact(f field) error {
	a := &artifact{name: f.key(), table: f}
	m.artifacts = append(m.artifacts, a)
	var problems usageErrors
	if err := checkArtifactName(f); err != nil {
		problems = append(problems, err)
	}
	problems = append(problems, f.read(map[string]reader{
		"version":  func(f field) error { return f.text(&a.version) },
		"url":      func(f field) error { return f.text(&a.url) },
		"mirrors":  func(f field) error { return f.texts(&a.mirrors) },
		"os":       func(f field) error { return f.spellings(&a.os, knownOS) },
		"arch":     func(f field) error { return f.spellings(&a.arch, knownArch) },
		"checksum": a.readChecksum,
		"mode":     func(f field) error { return f.mode(&a.mode) },
		"to":       func(f field) error { return f.text(&a.to) },
		"unpack":   func(f field) error { return f.boolean(&a.unpack) },
		"strip":    func(f field) error { return f.count(&a.strip) },
	})...)
	if len(problems) == 0 {
		problems = a.check()
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// checkArtifactName keeps names apart from the manifest's in dlm sync FILE NAME…,
// and in tables.
func checkArtifactName(f field) error {
	name := f.key()
	plain := name != "" && name[0] != '-' && filepath.Ext(name) != manifestExt
	for _, c := range []byte(name) {
		plain = plain && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '+')
	}
	if plain {
		return nil
	}
	return f.problem("a name has letters, digits and - _ . + in it, does not begin with - and does not end in "+manifestExt,
		"%q cannot be a name", name)
}

// readChecksum takes one for all platforms, or a table of them.
func (a *artifact) readChecksum(f field) error {
	if _, one := f.value.(string); one {
		return f.text(&a.checksum)
	}
	a.checksums = map[string]string{}
	return f.eachOf("a digest in quotes, the path or URL of a checksum file, or a table of them by platform", func(f field) error {
		var text string
		if err := f.checkPlatform(); err != nil {
			return err
		}
		err := f.text(&text)
		a.checksums[f.key()] = text
		return err
	})
}

// check looks for what is wrong with the values as they stand together.
func (a *artifact) check() usageErrors {
	var problems usageErrors
	if a.url == "" {
		problems = append(problems, a.table.problem(`url = "https://…" says where it is`, "%s has no url", a.name))
	}
	if a.strip > 0 && !a.unpack {
		problems = append(problems, a.table.in("strip").problem("unpack = true unpacks the file", "strip is for archives that are unpacked"))
	}
	if a.mode != 0 && a.unpack {
		problems = append(problems, a.table.in("mode").problem("leave it out", "mode is for files; the archive says the modes of what is in it"))
	}
	for _, t := range a.templates() {
		if _, err := a.expand(t.key, t.text, thisPlatform()); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// template is a text with variables, and the key that it is the value of.
type template struct{ key, text string }

// templates returns all templates that are given.
func (a *artifact) templates() []template {
	all := []template{{"url", a.url}, {"checksum", a.checksum}, {"to", a.to}}
	for _, mirror := range a.mirrors {
		all = append(all, template{"mirrors", mirror})
	}
	for _, platform := range slices.Sorted(maps.Keys(a.checksums)) {
		all = append(all, template{"checksum", a.checksums[platform]})
	}
	return slices.DeleteFunc(all, func(t template) bool { return t.text == "" })
}
