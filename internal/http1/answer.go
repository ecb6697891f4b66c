package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	// maxOrdinary is how long an ordinary head is, in bytes. All its values are parts of
	// one string, so that who keeps one of them keeps so much at most.
	maxOrdinary = 2 << 10
	// maxFields is how many fields it has. Object stores send some 15.
	maxFields = 24
)

// readAnswer reads a head as [http.ReadResponse] does. What is out of the ordinary is
// left to that.
func readAnswer(r *bufio.Reader, req *http.Request) (*http.Response, error) {
	if resp := readOrdinary(r, req); resp != nil {
		return resp, nil
	}
	return http.ReadResponse(r, req)
}

// readOrdinary reads a head that is all there, in some half of the time that
// [http.ReadResponse] takes; nil: it is out of the ordinary, and nothing was read.
func readOrdinary(r *bufio.Reader, req *http.Request) *http.Response {
	there, _ := r.Peek(min(r.Buffered(), maxOrdinary))
	code, at := scanStatus(there)
	if at == 0 {
		return nil
	}
	var room [maxFields]field
	fields, end := scanFields(room[:0], there, at)
	if end == 0 {
		return nil
	}
	a := &ordinary{Response: http.Response{
		StatusCode: code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1,
		Request: req, Header: make(http.Header, len(fields)),
	}}
	head := string(there[:end])
	a.Status = head[len(version) : at-len(newline)]
	if !a.take(fields, head) {
		return nil
	}
	_, _ = r.Discard(end) // all of it is there
	a.begin(r)
	return &a.Response
}

// ordinary is an answer of HTTP/1.1 with a length, in one piece of memory.
type ordinary struct {
	http.Response
	body body
	rest rest
	room [9]string // for values; nginx sends 8
}

// take takes in the fields, or reports that they are out of the ordinary.
func (a *ordinary) take(fields []field, head string) bool {
	values := a.room[:0]
	for i, f := range fields {
		key, value := f.key(head), head[f.value:f.end]
		values = append(values, value)
		a.Header[key] = values[i : i+1 : i+1]
		if !a.heed(key, value) {
			return false
		}
	}
	return len(a.Header) == len(fields) && a.ContentLength >= 0 // none is repeated, and there is a length
}

// heed takes in what a field says of the body and the connection, or reports that this
// is out of the ordinary.
func (a *ordinary) heed(key, value string) bool {
	switch key {
	case "Content-Length":
		n, err := strconv.ParseUint(value, 10, 63)
		a.ContentLength = int64(n)
		return err == nil
	case "Connection":
		return strings.EqualFold(value, "keep-alive")
	case "Transfer-Encoding", "Pragma", "Trailer":
		return false // at these net/http changes what it has read
	}
	return true
}

// begin begins the body.
func (a *ordinary) begin(r *bufio.Reader) {
	if a.ContentLength == 0 {
		a.Body = http.NoBody
		return
	}
	a.rest.r, a.rest.left = r, a.ContentLength
	a.body.from = &a.rest
	a.Body = &a.body
}

const (
	version = "HTTP/1.1 "
	newline = "\r\n"
)

// scanStatus reads a status line, and returns where the next one begins; 0: it is out of
// the ordinary. Answers without a body are, and those before the answer.
func scanStatus(b []byte) (code, next int) {
	text, ok := bytes.CutPrefix(b, []byte(version))
	if !ok || len(text) < 4 || text[3] != ' ' && text[3] != '\r' {
		return 0, 0
	}
	for _, c := range text[:3] {
		if c < '0' || c > '9' {
			return 0, 0
		}
		code = 10*code + int(c-'0')
	}
	if code < 200 || code == http.StatusNoContent || code == http.StatusNotModified {
		return 0, 0
	}
	return code, scanLine(b, len(version))
}

// scanLine returns where the line after that at b[at:] begins; 0: there is a control
// character in it.
func scanLine(b []byte, at int) (next int) {
	for at < len(b) && isText(b[at]) {
		at++
	}
	if !bytes.HasPrefix(b[at:], []byte(newline)) {
		return 0
	}
	return at + len(newline)
}

// isText reports whether it is no control character.
func isText(c byte) bool { return c >= ' ' && c != 0x7f }

// scanFields reads fields up to the empty line, and returns what begins behind that; 0:
// something is out of the ordinary.
func scanFields(fields []field, b []byte, at int) (_ []field, end int) {
	for !bytes.HasPrefix(b[at:], []byte(newline)) {
		f, next := scanField(b, at)
		if next == 0 || len(fields) == maxFields {
			return nil, 0
		}
		fields, at = append(fields, f), next
	}
	return fields, at + len(newline)
}

// field is where the parts of a field are in a head.
type field struct {
	name, colon int16
	value, end  int16
	canonical   bool // the name is
}

// scanField reads one field, and returns where the next line begins; 0: it is out of
// the ordinary.
func scanField(b []byte, at int) (f field, next int) {
	f.name, f.canonical = int16(at), true
	for first := true; at < len(b) && b[at] != ':'; at++ {
		c := b[at]
		switch {
		case 'a' <= c && c <= 'z':
			f.canonical = f.canonical && !first
		case 'A' <= c && c <= 'Z':
			f.canonical = f.canonical && first
		case '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return f, 0
		}
		first = c == '-'
	}
	name := b[f.name:at]
	if next = scanLine(b, at); next == 0 || len(name) == 0 || isChunked(name) {
		return f, 0
	}
	f.colon = int16(at)
	value := b[at+1 : next-len(newline)]
	f.end = int16(at + 1 + len(bytes.TrimRight(value, " ")))
	f.value = int16(at + 1 + len(value) - len(bytes.TrimLeft(value, " ")))
	f.value = min(f.value, f.end)
	return f, next
}

// isChunked tells bodies without a length, which are usual, too, before anything is made.
func isChunked(name []byte) bool {
	const coding = "Transfer-Encoding"
	return len(name) == len(coding) && bytes.EqualFold(name, []byte(coding))
}

// key returns the canonical form of the field's name.
func (f field) key(head string) string {
	switch name := head[f.name:f.colon]; {
	case f.canonical:
		return name
	case name == "ETag": // so do most servers write it
		return "Etag"
	default:
		return http.CanonicalHeaderKey(name)
	}
}

// rest is what is left of a body with a length. Its end comes with the last bytes, as
// it does from net/http. Several goroutines may read it.
type rest struct {
	mu   sync.Mutex // guards all below
	r    *bufio.Reader
	left int64
}

// Read implements [io.Reader].
func (s *rest) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return 0, io.EOF // the connection may be somebody else's
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	switch {
	case s.left > 0 && err == io.EOF:
		err = io.ErrUnexpectedEOF
	case s.left == 0 && err == nil:
		err = io.EOF
	}
	return n, err
}
