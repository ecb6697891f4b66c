package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// noSettings are the flags that no file can set, and why. It can set all others.
var noSettings = map[string]string{
	"accept-changes": "it is about one call",
	"adopt":          "nobody's files become cache by a default",
	"arch":           "it is about one call",
	"check":          "it is about one call",
	"checksum":       "it is about one file",
	"config":         "a config file does not name another",
	"dry-run":        "it is about one call",
	"force":          "it is about one call",
	"header":         `a header may be a secret, and is for one host: [host."NAME"] has those of a host, and --header @FILE reads them from a file`,
	"header-for":     `the sections [host."NAME"] have what is sent to a host`,
	"frozen":         "it is about one lock file",
	"help":           "it is about one call",
	"job":            "it is about one list",
	"lock":           "it belongs to what the downloads are for: DLM_LOCK names it there",
	"mirror":         "it is about one file",
	"name":           "it is about one file",
	"older-than":     "it is about one call",
	"os":             "it is about one call",
	"output":         "it is about one call",
	"overwrite":      "nobody's files are replaced by a default",
	"repair":         "it is about one call",
	"report":         "it is about one call",
	"restart":        "it is about one call",
	"rewrite":        `the section [rewrite] has lines "FROM" = "TO"`,
	"retry-failed":   "it is about one call",
	"to":             "it is about one call",
	"version":        "it is about one call",
	"yes":            "it answers one question",
}

// pathSettings are those whose values are paths, which a shell would have
// expanded.
var pathSettings = map[string]bool{"cache-dir": true, "cacert": true}

// applyConfig sets the flags of cmd that neither were given nor have a variable
// set. The whole file must be right, not only what the command needs: a slip is
// found when it is made.
func applyConfig(cmd *cobra.Command, u *ui, settings []setting) error {
	var problems usageErrors
	all := newRoot(newUI(nil, io.Discard)) // to be tried out on
	var hosts sections
	for _, s := range settings {
		if s.isSection() {
			if err := hosts.read(s); err != nil {
				problems = append(problems, err)
			}
			continue
		}
		if err := s.check(all); err != nil {
			problems = append(problems, err)
			continue
		}
		f := cmd.Flags().Lookup(s.key)
		if f == nil || f.Changed {
			continue
		}
		text, err := s.text(f)
		if err == nil {
			err = f.Value.Set(text)
		}
		if err != nil {
			problems = append(problems, &usageError{text: s.source() + ": " + err.Error()})
			continue
		}
		f.Changed = true
		setSource(f, s.source())
	}
	if len(problems) > 0 {
		return problems
	}
	hosts.apply(cmd)
	if hosts.secret {
		warnOfReaders(cmd, u, settings[0].file)
	}
	return nil
}

// warnOfReaders tells that others can read the secrets in the file. On Windows the
// permissions do not say who can.
func warnOfReaders(cmd *cobra.Command, u *ui, file string) {
	fi, err := os.Stat(file)
	quiet := cmd.Flags().Lookup("quiet")
	if err != nil || runtime.GOOS == "windows" || fi.Mode().Perm()&0o044 == 0 || quiet != nil && quiet.Value.String() == "true" {
		return
	}
	u.note("%s: others can read the secrets in it", file)
	u.advise("chmod 600 " + file + ", or read them from another file: header = \"@FILE\"")
}

// check reports what is wrong with the setting, whichever command takes it.
func (s setting) check(root *cobra.Command) error {
	if why, ok := noSettings[s.key]; ok {
		return &usageError{text: s.source() + " cannot be set in the config file: " + why}
	}
	if _, table := s.value.(map[string]any); table {
		return &usageError{text: s.source() + ": there is no such section", hint: "dlm help config lists the settings"}
	}
	var problem error
	known := false
	eachFlag(root, func(f *pflag.Flag) {
		if f.Name != s.key || problem != nil {
			return
		}
		known = true
		text, err := s.text(f)
		if err == nil {
			err = f.Value.Set(text)
		}
		if err != nil {
			problem = &usageError{text: s.source() + ": " + err.Error()}
		}
	})
	if known {
		return problem
	}
	hint := "dlm help config lists the settings"
	if near := nearest(s.key, settingNames(root)); near != "" {
		hint = "did you mean " + near + "?"
	}
	return &usageError{fmt.Sprintf("%s:%d: there is no setting %q", s.file, s.line, s.key), hint}
}

// text is the value as the flag would be given it.
func (s setting) text(f *pflag.Flag) (string, error) {
	kind := f.Value.Type()
	switch v := s.value.(type) {
	case bool:
		if kind != "bool" {
			return "", fmt.Errorf("want %s, not true or false", kindText(kind))
		}
		return strconv.FormatBool(v), nil
	case string:
		if kind == "bool" {
			return "", errors.New("want true or false, without quotes")
		}
		if pathSettings[s.key] {
			return expand(v, filepath.Dir(s.file))
		}
		return v, nil
	case int64:
		if kind == "bool" || kind == "string" {
			return "", fmt.Errorf("want %s, not a number", kindText(kind))
		}
		return strconv.FormatInt(v, 10), nil
	}
	return "", fmt.Errorf("want %s", kindText(kind))
}

func kindText(kind string) string {
	switch kind {
	case "bool":
		return "true or false"
	case "string":
		return "text in quotes"
	case "N":
		return "a whole number"
	case "SIZE":
		return `a size: "500MB", "10GiB" or a number of bytes`
	case "DURATION":
		return `a duration: "30s", "10m" or "1h30m"`
	}
	return "one of " + strings.ReplaceAll(kind, "|", ", ") + ", in quotes"
}

// expand makes a path absolute: ~/ is the home directory, and what is relative is
// so to the file.
func expand(path, dir string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		return filepath.Join(home, rest), err
	}
	if path == "" || filepath.IsAbs(path) {
		return path, nil
	}
	return filepath.Join(dir, path), nil
}

// eachFlag calls fn for each flag of root's commands and of theirs. Several
// commands may have one of the same name.
func eachFlag(root *cobra.Command, fn func(*pflag.Flag)) {
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			cmd.LocalNonPersistentFlags().VisitAll(fn)
			eachFlag(cmd, fn)
		}
	}
}

// flagNames returns the names of all commands' flags, in the order of the help.
func flagNames(root *cobra.Command) []string {
	var names []string
	eachFlag(root, func(f *pflag.Flag) {
		if f.Name != "help" && !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	})
	return names
}

func settingNames(root *cobra.Command) []string {
	return slices.DeleteFunc(flagNames(root), func(name string) bool { return noSettings[name] != "" })
}

// nearest returns the candidate that is a slip away from the word: no more than a
// third of its letters differ. "" if there is none.
func nearest(word string, candidates []string) string {
	best, least := "", len(word)/3+1
	for _, c := range candidates {
		if n := distance(word, c); n < least {
			best, least = c, n
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace, or swap with the next one,
// to make b of a.
func distance(a, b string) int {
	rows := [3][]int{}
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		row, above, top := rows[i%3], rows[(i+2)%3], rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := above[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, above[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], top[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}
