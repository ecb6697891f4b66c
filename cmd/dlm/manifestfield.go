package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// field is a value in a manifest, and where it stands.
type field struct {
	file  string
	lines keyLines
	path  []string // keys, from the top
	value any
}

func (f field) key() string {
	if len(f.path) == 0 {
		return ""
	}
	return f.path[len(f.path)-1]
}

// in is the field below f that has the key, as far as messages are concerned.
func (f field) in(key string) field {
	f.path = append(slices.Clip(f.path), key)
	return f
}

// line is 0 for the file itself.
func (f field) line() int { return f.lines.of(f.path) }

// manifestProblem is a mistake in a manifest.
type manifestProblem struct {
	usageError
	line int
}

func (f field) problem(hint, format string, args ...any) *manifestProblem {
	where := fmt.Sprintf("%s:%d: ", f.file, f.line())
	return &manifestProblem{usageError{where + fmt.Sprintf(format, args...), hint}, f.line()}
}

func (e *manifestProblem) Unwrap() error { return &e.usageError }

// wrongKind is the refusal of a value of another type.
func (f field) wrongKind(want string) error {
	return f.problem(fmt.Sprintf("write %s = %s", f.key(), want), "%s is %s", f.key(), kindOf(f.value))
}

func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "text in quotes"
	case bool:
		return "true or false"
	case int64, float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	default:
		return "a date or time"
	}
}

// reader takes the value of one key.
type reader func(field) error

// read gives the values of a table to their readers, and refuses keys without one.
func (f field) read(readers map[string]reader) usageErrors {
	table, ok := f.value.(map[string]any)
	if !ok {
		return usageErrors{f.wrongTable()}
	}
	known := slices.Sorted(maps.Keys(readers))
	var problems usageErrors
	for _, key := range slices.Sorted(maps.Keys(table)) {
		one := f.in(key)
		one.value = table[key]
		read := readers[key]
		if read == nil {
			problems = append(problems, one.unknown("key", known))
		} else if err := read(one); err != nil {
			problems = append(problems, split(err)...)
		}
	}
	return problems
}

func (f field) wrongTable() error {
	if f.key() == "artifact" {
		return f.problem("[artifact.NAME] begins an artifact", "artifact is %s", kindOf(f.value))
	}
	return f.problem(fmt.Sprintf("put its keys below [%s]", strings.Join(f.path, ".")), "%s is %s", f.key(), kindOf(f.value))
}

// unknown is the refusal of a key that is none of those that are known.
func (f field) unknown(what string, known []string) error {
	hint := "there are " + strings.Join(known, ", ")
	if len(known) == 1 {
		hint = "there is " + known[0]
	}
	if near := nearest(f.key(), known); near != "" {
		hint = "did you mean " + near + "?"
	}
	return f.problem(hint, "there is no %s %q", what, f.key())
}

// each calls read for each value of a table, in the order of the lines.
func (f field) each(read reader) error {
	table, ok := f.value.(map[string]any)
	if !ok {
		return f.wrongTable()
	}
	var fields []field
	for key, value := range table {
		one := f.in(key)
		one.value = value
		fields = append(fields, one)
	}
	slices.SortFunc(fields, func(a, b field) int {
		return cmp.Or(cmp.Compare(a.line(), b.line()), cmp.Compare(a.key(), b.key()))
	})
	var problems usageErrors
	for _, one := range fields {
		if err := read(one); err != nil {
			problems = append(problems, split(err)...)
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// eachOf is each for values that may be something else than a table.
func (f field) eachOf(want string, read reader) error {
	if _, ok := f.value.(map[string]any); !ok {
		return f.wrongKind(want)
	}
	return f.each(read)
}

func (f field) text(to *string) error {
	text, ok := f.value.(string)
	switch {
	case !ok:
		return f.wrongKind(`"…", in quotes`)
	case strings.TrimSpace(text) == "":
		return f.problem("give it a value, or leave it out", "%s is empty", f.key())
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return f.problem("write it in one line, without control characters", "%s has a control character in it", f.key())
	}
	*to = text
	return nil
}

func (f field) texts(to *[]string) error {
	list, ok := f.value.([]any)
	if !ok {
		return f.wrongKind(`["…", "…"], a list`)
	}
	for _, value := range list {
		one, text := f, ""
		one.value = value
		if err := one.text(&text); err != nil {
			return err
		}
		*to = append(*to, text)
	}
	return nil
}

// spellings reads a table from names of Go's to others.
func (f field) spellings(to *map[string]string, known []string) error {
	*to = map[string]string{}
	return f.eachOf(fmt.Sprintf(`{ %s = "…" }, a table`, known[0]), func(f field) error {
		if !slices.Contains(known, f.key()) {
			return f.unknown("system or processor", known)
		}
		var text string
		err := f.text(&text)
		(*to)[f.key()] = text
		return err
	})
}

// mode reads permissions: "0755", or the same number.
func (f field) mode(to *os.FileMode) error {
	const want = `"0755", "0644" and the like`
	n, ok := f.value.(int64)
	if text, quoted := f.value.(string); quoted {
		bits, err := strconv.ParseInt(text, 8, 64)
		n, ok = bits, err == nil
	}
	if !ok {
		return f.wrongKind(want)
	}
	if n < 0o400 || n > 0o777 || n&0o400 == 0 {
		return f.problem(fmt.Sprintf("write mode = %s: read by the owner, and nothing beyond 0777", want), "mode %#o makes no sense", n)
	}
	*to = os.FileMode(n)
	return nil
}

func (f field) boolean(to *bool) error {
	yes, ok := f.value.(bool)
	if !ok {
		return f.wrongKind("true or false, without quotes")
	}
	*to = yes
	return nil
}

func (f field) count(to *int) error {
	const most = 100 // folders in one another: more is a slip
	n, ok := f.value.(int64)
	if !ok || n < 0 || n > most {
		return f.problem(fmt.Sprintf("write %s = 1, say", f.key()), "%s is not a number from 0 to %d", f.key(), most)
	}
	*to = int(n)
	return nil
}

// inOrder puts problems into the order of their lines; those of the file itself go
// last.
func inOrder(problems usageErrors) usageErrors {
	line := func(err error) int {
		if p, ok := err.(*manifestProblem); ok {
			return p.line
		}
		return 1 << 30
	}
	slices.SortStableFunc(problems, func(a, b error) int { return cmp.Compare(line(a), line(b)) })
	return problems
}
