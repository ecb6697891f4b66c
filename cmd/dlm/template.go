package main

import (
	"maps"
	"slices"
	"strings"
)

// variables are what {…} in a template stands for.
type variables map[string]string

// variables returns the artifact's for a platform. One that has no value is not
// among them.
func (a *artifact) variables(p platform) variables {
	v := variables{"name": a.name, "os": p.os, "arch": p.arch, "exe": p.exe()}
	if spelled, ok := a.os[p.os]; ok {
		v["os"] = spelled
	}
	if spelled, ok := a.arch[p.arch]; ok {
		v["arch"] = spelled
	}
	if a.version != "" {
		v["version"] = a.version
	}
	return v
}

// expand fills in the template that is the value of a key.
func (a *artifact) expand(key, text string, p platform) (string, error) {
	v := a.variables(p)
	filled, bad := v.fill(text)
	if bad == nil {
		return filled, nil
	}
	at := a.table.in(key)
	switch {
	case bad.unclosed:
		return "", at.problem("{{ and }} stand for the characters themselves", "%s: a { or } stands alone", key)
	case bad.variable == "version":
		return "", at.problem(`version = "…" gives it a value`, "%s: {version} stands for nothing", key)
	}
	known := slices.Sorted(maps.Keys(v))
	hint := "there are {" + strings.Join(known, "}, {") + "}; {{ stands for the character itself"
	if near := nearest(bad.variable, known); near != "" {
		hint = "did you mean {" + near + "}?"
	}
	return "", at.problem(hint, "%s: there is no variable {%s}", key, bad.variable)
}

// badTemplate is why a template cannot be filled in.
type badTemplate struct {
	unclosed bool
	variable string // that there is not
}

// fill replaces {name} by the variable's value, {{ by { and }} by }.
func (v variables) fill(text string) (string, *badTemplate) {
	var b strings.Builder
	for {
		at := strings.IndexAny(text, "{}")
		if at < 0 {
			b.WriteString(text)
			return b.String(), nil
		}
		b.WriteString(text[:at])
		brace := text[at : at+1]
		text = text[at+1:]
		if rest, twice := strings.CutPrefix(text, brace); twice {
			b.WriteString(brace)
			text = rest
			continue
		}
		name, rest, closed := strings.Cut(text, "}")
		if brace == "}" || !closed || strings.Contains(name, "{") {
			return "", &badTemplate{unclosed: true}
		}
		value, ok := v[name]
		if !ok {
			return "", &badTemplate{variable: name}
		}
		b.WriteString(value)
		text = rest
	}
}
