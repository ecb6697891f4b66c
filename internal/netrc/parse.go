package netrc

import "strings"

// parser makes entries of words.
type parser struct {
	words *scanner
	file  *File
	into  *entry // what login and password are of; nil: nothing yet
}

func (p *parser) parse() error {
	for {
		word, line, ok := p.words.keyword()
		if !ok {
			return nil
		}
		if err := p.item(strings.ToLower(word), line); err != nil {
			return err
		}
	}
}

// item reads a keyword's value, if it takes one. A keyword is repeated in an error
// only if it is one: else it may be half of a password.
func (p *parser) item(keyword string, line int) error {
	switch keyword {
	case "default":
		return p.beginDefault(line)
	case "machine", "login", "password", "account", "macdef":
	default:
		return &Error{line, "a word that is no keyword; values with spaces need double quotes"}
	}
	value, err := p.words.value()
	if err != nil {
		return err
	}
	if value == nil {
		return &Error{line, "no value after " + keyword}
	}
	switch keyword {
	case "machine":
		return p.beginMachine(*value, line)
	case "macdef":
		p.words.skipMacro()
		return nil
	}
	return p.set(keyword, *value, line)
}

func (p *parser) beginMachine(host string, line int) error {
	if p.file.fallback != nil {
		return &Error{line, "machine after default, which has to be the last"}
	}
	p.file.machines = append(p.file.machines, entry{host: lowerASCII(host)})
	p.into = &p.file.machines[len(p.file.machines)-1]
	return nil
}

func (p *parser) beginDefault(line int) error {
	if p.file.fallback != nil {
		return &Error{line, "a second default"}
	}
	p.file.fallback = &entry{}
	p.into = p.file.fallback
	return nil
}

// set takes what an entry says. Said twice, the later one counts.
func (p *parser) set(keyword, value string, line int) error {
	if p.into == nil {
		return &Error{line, keyword + " before any machine"}
	}
	switch keyword {
	case "login":
		p.into.login, p.into.given = value, true
	case "password":
		p.into.password, p.into.given = value, true
	}
	return nil
}

// scanner makes words of text.
type scanner struct {
	rest string
	line int // of the beginning of rest, from 1
}

func newScanner(text string) *scanner {
	return &scanner{rest: strings.TrimPrefix(text, "\ufeff"), line: 1} // as some editors write it
}

const (
	blanks = " \t\r\n"
	quote  = '"'
)

// skip goes on by n bytes.
func (s *scanner) skip(n int) {
	s.line += strings.Count(s.rest[:n], "\n")
	s.rest = s.rest[n:]
}

func (s *scanner) skipBlanks() {
	s.skip(len(s.rest) - len(strings.TrimLeft(s.rest, blanks)))
}

// lineEnd returns where the line ends, before its newline.
func (s *scanner) lineEnd() int {
	if end := strings.IndexByte(s.rest, '\n'); end >= 0 {
		return end
	}
	return len(s.rest)
}

// keyword returns the next word and its line, past comments. At the end ok is
// false.
func (s *scanner) keyword() (word string, line int, ok bool) {
	s.skipBlanks()
	for strings.HasPrefix(s.rest, "#") {
		s.skip(s.lineEnd())
		s.skipBlanks()
	}
	line = s.line
	word = s.word()
	return word, line, word != ""
}

// word returns what comes before the next blank.
func (s *scanner) word() string {
	end := strings.IndexAny(s.rest, blanks)
	if end < 0 {
		end = len(s.rest)
	}
	word := s.rest[:end]
	s.skip(end)
	return word
}

// value returns the next value, nil at the end.
func (s *scanner) value() (*string, error) {
	s.skipBlanks()
	if s.rest == "" {
		return nil, nil
	}
	if s.rest[0] == quote {
		return s.quoted()
	}
	word := s.word()
	return &word, nil
}

// quoted returns what stands between double quotes.
func (s *scanner) quoted() (*string, error) {
	var b strings.Builder
	line := s.rest[:s.lineEnd()]
	for i := 1; i < len(line); i++ {
		c := line[i]
		switch {
		case c == quote:
			s.skip(i + 1)
			if s.rest != "" && !strings.ContainsRune(blanks, rune(s.rest[0])) {
				return nil, &Error{s.line, "no space after a closing quote"}
			}
			value := b.String()
			return &value, nil
		case c == '\\' && i+1 < len(line):
			i++
			b.WriteByte(escaped(line[i]))
		default:
			b.WriteByte(c)
		}
	}
	return nil, &Error{s.line, "a quote that is not closed on its line"}
}

// escaped returns what c stands for after a backslash.
func escaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	default:
		return c
	}
}

// skipMacro goes on behind the first empty line after this one. Spaces make a line
// part of the macro, as ftp has it.
func (s *scanner) skipMacro() {
	for first := true; s.rest != ""; first = false {
		end := s.lineEnd()
		line := s.rest[:end]
		s.skip(min(end+1, len(s.rest)))
		if !first && strings.TrimSuffix(line, "\r") == "" {
			return
		}
	}
}
