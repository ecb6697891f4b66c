package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// header is one header field of a request.
type header struct{ name, value string }

// parseHeaders reads the values of the flag or variable called from. Its errors
// do not repeat them: they are credentials more often than not.
func parseHeaders(from string, values []string) ([]header, error) {
	var all []header
	for _, text := range values {
		if file, ok := strings.CutPrefix(text, "@"); ok {
			fromFile, err := readHeaders(file)
			if err != nil {
				return nil, &usageError{text: from + ": " + err.Error()}
			}
			all = append(all, fromFile...)
			continue
		}
		h, err := parseHeader(text)
		if err != nil {
			return nil, &usageError{text: from + ": " + err.Error()}
		}
		all = append(all, h)
	}
	return all, nil
}

// maxHeaderFile is far beyond what a server takes, and keeps a mistaken path
// (a device, say) from being read for ever.
const maxHeaderFile = 1 << 20

// readHeaders reads a file with one header a line; blank lines do not count.
func readHeaders(file string) ([]header, error) {
	if file == "" || file == "-" {
		return nil, errors.New("@ needs the name of a file after it")
	}
	fi, err := os.Stat(file)
	if err == nil && (!fi.Mode().IsRegular() || fi.Size() > maxHeaderFile) {
		err = fmt.Errorf("%s is no file of headers", file)
	}
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	all, err := parseHeaderLines(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s, %w", file, err)
	}
	return all, nil
}

// parseHeaderLines reads one header a line; blank lines do not count.
func parseHeaderLines(text string) ([]header, error) {
	var all []header
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		h, err := parseHeader(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		all = append(all, h)
	}
	return all, nil
}

// ourHeaders are those that a download depends on.
var ourHeaders = map[string]bool{
	"accept-encoding": true, "connection": true, "content-length": true, "host": true,
	"if-range": true, "range": true, "transfer-encoding": true,
}

func parseHeader(text string) (header, error) {
	name, value, ok := strings.Cut(text, ":")
	value = strings.Trim(value, " \t")
	switch {
	case !ok || !isToken(name):
		return header{}, errors.New("not of the form 'NAME: VALUE'")
	case !validHeaderValue(value):
		return header{}, fmt.Errorf("the value of %s has a control character in it", name)
	case ourHeaders[strings.ToLower(name)]:
		return header{}, fmt.Errorf("%s is not yours to set", name)
	}
	return header{name, value}, nil
}

// isToken reports whether name can be the name of a field (RFC 9110, section
// 5.6.2).
func isToken(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if !letter && !digit && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return name != ""
}

// validHeaderValue reports whether value can be the value of a field (RFC 9110,
// section 5.5).
func validHeaderValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; (c < ' ' && c != '\t') || c == 0x7f {
			return false
		}
	}
	return true
}
