package batch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dlmanager/dlmanager"
)

// LineError is what is wrong with one line of a list. It does not repeat the line,
// which may hold secrets. Those behind it can be read.
type LineError struct {
	List string // what the list is called
	Line int    // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.List, e.Line, e.Err) }

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.Err }

// ErrNotList is matched when a text is not a list of links at all. Nothing behind
// is read.
var ErrNotList = errors.New("this is not a list of links, one a line")

// parseLine reads a line without its end. ok is false for a blank line and a
// comment.
func parseLine(text string) (link Link, ok bool, err error) {
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return Link{}, false, fmt.Errorf("%w: the line is not text in UTF-8", ErrNotList)
	}
	line := strings.TrimSpace(text)
	switch {
	case line == "" || line[0] == '#':
		return Link{}, false, nil
	case line[0] == '{':
		link, err = parseJSONLine(line)
	default:
		link, err = parseColumns(line)
	}
	if err == nil {
		err = link.check()
	}
	return link, err == nil, err
}

// parseColumns reads URL [name] [checksum]; "-" stands for no name.
func parseColumns(line string) (Link, error) {
	var columns [3]string
	n := 0
	for column := range strings.FieldsSeq(line) {
		if n < len(columns) {
			columns[n] = column
		}
		n++
	}
	if n > len(columns) {
		return Link{}, fmt.Errorf("there are %d columns, not URL, name and checksum; a name with spaces needs a line of JSON", n)
	}
	link := Link{URL: columns[0], Name: columns[1], Checksum: columns[2]}
	if link.Name == "-" {
		link.Name = ""
	}
	if strings.Contains(link.Name, ":") {
		return Link{}, errors.New("the second column is the name, and no name has a colon; write - there for none, and the checksum behind it")
	}
	return link, nil
}

func parseJSONLine(line string) (Link, error) {
	var link Link
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields() // a misspelt checksum must not be no checksum
	if err := d.Decode(&link); err != nil {
		return Link{}, jsonProblem(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Link{}, errors.New("bad JSON: there is something behind the object")
	}
	if link.URL == "" {
		return Link{}, errors.New(`bad JSON: there is no "url"`)
	}
	return link, nil
}

// jsonProblem names the mistake without its text.
func jsonProblem(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("bad JSON: %q is a %s", wrong.Field, wrong.Value)
	}
	if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("bad JSON at byte %d of the line", wrong.Offset)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("bad JSON: the object does not end on the line")
	}
	return errors.New("bad JSON: a field is not one of url, name, checksum, mirrors, priority")
}

// check refuses what can be seen to be wrong without asking anybody.
func (l *Link) check() error {
	err := checkURL(l.URL)
	for i := 0; err == nil && i < len(l.Mirrors); i++ {
		err = checkURL(l.Mirrors[i])
	}
	return err
}

func checkURL(url string) error {
	if err := dlmanager.CheckURL(url); err != nil {
		return err
	}
	if strings.ContainsFunc(url, unicode.IsControl) {
		return errors.New("bad URL: it has control characters")
	}
	return nil
}
