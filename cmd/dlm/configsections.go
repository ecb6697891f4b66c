package main

import (
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dlmanager/dlmanager"
)

// The sections of the config file say what is different for some hosts:
//
//	[rewrite]
//	"https://github.com/" = "https://mirror.example/gh/"
//
//	[host."artifacts.example"]
//	header = ["@~/token.txt", "X-Team: build"]
//	header-command = ["vault", "read", "-field=header", "secret/ci"]
//
// No error of theirs repeats a value: most are secrets.

const (
	rewriteSection = "rewrite"
	hostSectionKey = "host"
)

// sections is what they say.
type sections struct {
	rewrites []rule
	hosts    []hostSection
	secret   bool // a secret stands in the file itself
}

// isSection reports whether the setting is one. Other tables are none.
func (s setting) isSection() bool {
	_, table := s.value.(map[string]any)
	return table && (s.key == rewriteSection || s.key == hostSectionKey)
}

// read adds what the section says.
func (all *sections) read(s setting) error {
	table := s.value.(map[string]any)
	if s.key == rewriteSection {
		return all.readRewrites(s, table)
	}
	names := slices.Sorted(maps.Keys(table))
	if len(s.path) > 1 {
		names = s.path[1:2]
	}
	for _, name := range names {
		if err := all.readHost(s, name, table[name]); err != nil {
			return err
		}
	}
	return nil
}

func (all *sections) readRewrites(s setting, table map[string]any) error {
	for _, from := range slices.Sorted(maps.Keys(table)) {
		to, ok := table[from].(string)
		if !ok {
			return s.problem("", `want lines like "https://github.com/" = "https://mirror.example/gh/"`)
		}
		if err := dlmanager.CheckRewrite(from, to); err != nil {
			return s.problem("", err.Error())
		}
		if u, err := url.Parse(to); err == nil && u.User != nil {
			all.secret = true
		}
		all.rewrites = append(all.rewrites, rule{from, to})
	}
	return nil
}

func (all *sections) readHost(s setting, name string, value any) error {
	table, ok := value.(map[string]any)
	if !ok {
		return s.problem(name, `want a section: [host."NAME"]`)
	}
	if err := dlmanager.CheckHost(name); err != nil {
		return s.problem(name, err.Error())
	}
	section := hostSection{host: name, source: s.sectionName(name)}
	for _, key := range slices.Sorted(maps.Keys(table)) {
		texts, ok := textsOf(table[key])
		_, nested := table[key].(map[string]any)
		switch {
		case nested:
			return s.problem(name, `a name with dots in it is written in quotes: [host."artifacts.example"]`)
		case key == "header" && ok:
			section.headers = texts
		case key == "header-command" && ok && len(texts) > 0 && texts[0] != "" && !isText(table[key]):
			section.command = texts
		case key == "header":
			return s.problem(name, `header: want "NAME: VALUE", "@FILE", or a list of them`)
		case key == "header-command":
			return s.problem(name, `header-command: want a list, the program and its arguments: ["PROGRAM", "ARG"]`)
		default:
			return s.problem(name, fmt.Sprintf("there is no %q: header and header-command are known", key))
		}
	}
	return all.addHost(s, section)
}

// addHost makes the section's paths absolute, and looks at its headers.
func (all *sections) addHost(s setting, section hostSection) (err error) {
	dir := filepath.Dir(s.file)
	for i, text := range section.headers {
		file, fromFile := strings.CutPrefix(text, "@")
		if !fromFile {
			all.secret = true
			if _, err := parseHeader(text); err != nil {
				return s.problem(section.host, "header: "+err.Error())
			}
			continue
		}
		if file, err = expand(file, dir); err != nil {
			return err
		}
		section.headers[i] = "@" + file
	}
	if section.command != nil && strings.ContainsAny(section.command[0], "/"+string(filepath.Separator)) { // else it is looked up in PATH
		if section.command[0], err = expand(section.command[0], dir); err != nil {
			return err
		}
	}
	all.hosts = append(all.hosts, section)
	return nil
}

// sectionName is what stands for the section in messages; name is the host's.
func (s setting) sectionName(name string) string {
	if name == "" {
		return fmt.Sprintf("%s:%d: [%s]", s.file, s.line, s.key)
	}
	return fmt.Sprintf("%s:%d: [%s.%q]", s.file, s.line, s.key, name)
}

func (s setting) problem(name, text string) error {
	return &usageError{s.sectionName(name) + ": " + text, "dlm help config shows the sections"}
}

func isText(value any) bool {
	_, ok := value.(string)
	return ok
}

// textsOf returns one text or a list of them.
func textsOf(value any) ([]string, bool) {
	if text, ok := value.(string); ok {
		return []string{text}, true
	}
	list, ok := value.([]any)
	texts := make([]string, 0, len(list))
	for _, one := range list {
		text, isText := one.(string)
		ok = ok && isText
		texts = append(texts, text)
	}
	return texts, ok
}

// apply gives the sections to the command, if it has the flags that stand for them.
func (all *sections) apply(cmd *cobra.Command) {
	if f := cmd.Flags().Lookup("rewrite"); f != nil && !f.Changed {
		*f.Value.(*rewritesValue) = all.rewrites
	}
	if f := cmd.Flags().Lookup("header-for"); f != nil {
		f.Value.(*hostHeadersValue).sections = all.hosts
	}
}
