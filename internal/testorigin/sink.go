package testorigin

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// politeSink leaves the wire format to net/http.
type politeSink struct {
	rw      http.ResponseWriter
	control *http.ResponseController
	request *http.Request
}

func (s *politeSink) head(status int, header http.Header, framing framing) error {
	to := s.rw.Header()
	for key, values := range header {
		to[key] = values
	}
	s.rw.WriteHeader(status)
	if framing == byChunks {
		s.flush() // else net/http adds the length of a short body
	}
	return nil
}

func (s *politeSink) write(p []byte) error {
	_, err := s.rw.Write(p)
	return err
}

// flush has no error of its own to report: the next write has it too.
func (s *politeSink) flush() { _ = s.control.Flush() }

func (s *politeSink) gone() <-chan struct{} { return s.request.Context().Done() }

func (s *politeSink) finish() {}

// abort closes the connection (of HTTP/2: the stream).
func (s *politeSink) abort(bool) { panic(http.ErrAbortHandler) }

// rawSink writes to the connection itself, which serves one response.
type rawSink struct {
	origin  *Origin
	conn    net.Conn
	left    chan struct{} // closed when nothing can be read any more
	chunked bool
}

func newRawSink(o *Origin, rw http.ResponseWriter) *rawSink {
	conn, buffered, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		o.t.Errorf("testorigin: %v", err)
		panic(http.ErrAbortHandler)
	}
	s := &rawSink{origin: o, conn: conn, left: make(chan struct{})}
	o.track(conn)
	go func() {
		defer close(s.left)
		_, _ = io.Copy(io.Discard, buffered.Reader) // ends with the connection
	}()
	return s
}

// track makes Close close a connection that net/http knows nothing about.
func (o *Origin) track(conn net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.raw[conn] = struct{}{}
	if o.closed {
		_ = conn.Close()
	}
}

func (s *rawSink) head(status int, header http.Header, framing framing) error {
	version := "HTTP/1.1"
	if framing == byClose {
		version = "HTTP/1.0"
	}
	header = header.Clone()
	header.Set("Connection", "close")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	s.chunked = framing == byChunks || framing == byLength && header.Get("Content-Length") == ""
	if s.chunked {
		header.Set("Transfer-Encoding", "chunked")
	}
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %d %s\r\n", version, status, http.StatusText(status))
	_ = header.Write(&head) // to memory
	head.WriteString("\r\n")
	_, err := s.conn.Write(head.Bytes())
	return err
}

func (s *rawSink) write(p []byte) error {
	if !s.chunked {
		_, err := s.conn.Write(p)
		return err
	}
	chunk := net.Buffers{fmt.Appendf(nil, "%x\r\n", len(p)), p, []byte("\r\n")}
	_, err := chunk.WriteTo(s.conn)
	return err
}

func (s *rawSink) flush() {}

func (s *rawSink) gone() <-chan struct{} { return s.left }

func (s *rawSink) finish() {
	if s.chunked {
		_, _ = io.WriteString(s.conn, "0\r\n\r\n")
	}
	s.close()
}

func (s *rawSink) abort(reset bool) {
	if reset {
		s.linger()
	}
	s.close()
}

// linger makes closing throw away what is not delivered and send a RST.
func (s *rawSink) linger() {
	conn := s.conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

func (s *rawSink) close() {
	_ = s.conn.Close()
	<-s.left
	s.origin.mu.Lock()
	defer s.origin.mu.Unlock()
	delete(s.origin.raw, s.conn)
}
