package main

import (
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// keyLines are the lines on which the keys of a TOML text stand, by their paths.
type keyLines map[string]int

// of is the line of a key, or of the nearest table around it.
func (k keyLines) of(path []string) int {
	for ; len(path) > 0; path = path[:len(path)-1] {
		if line := k[strings.Join(path, "\x00")]; line > 0 {
			return line
		}
	}
	return 1
}

// note remembers where a key stands, and those before it that no line of their own
// has begun.
func (k keyLines) note(path []string, line int) {
	for n := range path {
		key := strings.Join(path[:n+1], "\x00")
		if _, known := k[key]; !known {
			k[key] = line
		}
	}
}

// linesOf says where the keys are. The decoder does not tell, but for those that
// it refuses.
func linesOf(text []byte) (keyLines, error) {
	lines := keyLines{}
	var p unstable.Parser
	p.Reset(text)
	var table []string
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = lines.noteKey(&p, nil, e.Key())
		case unstable.KeyValue:
			lines.noteValue(&p, table, e)
		}
	}
	return lines, p.Error()
}

func (k keyLines) noteKey(p *unstable.Parser, above []string, key unstable.Iterator) []string {
	path := append([]string{}, above...)
	line := 0
	for key.Next() {
		n := key.Node()
		if line == 0 {
			line = p.Shape(n.Raw).Start.Line
		}
		path = append(path, string(n.Data))
	}
	k.note(path, line)
	return path
}

// noteValue goes into inline tables, too.
func (k keyLines) noteValue(p *unstable.Parser, above []string, e *unstable.Node) {
	path := k.noteKey(p, above, e.Key())
	value := e.Value()
	if value.Kind != unstable.InlineTable {
		return
	}
	for entries := value.Children(); entries.Next(); {
		k.noteValue(p, path, entries.Node())
	}
}
