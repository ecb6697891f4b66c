//go:build unix

package http1

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// script is a server over socket pairs: request /0 gets the first answer, /1 the
// second. It closes a connection where the answer would keep its reader waiting.
type script struct {
	*testing.T
	answers [][]byte
	running sync.WaitGroup
}

func (s *script) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := socketPair(s.T)
	s.running.Go(func() { s.talk(theirs) })
	return ours, nil
}

// socketPair returns the two ends of a connection.
func socketPair(t *testing.T) (one, other net.Conn) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	return end(t, pair[0]), end(t, pair[1])
}

func end(t *testing.T, fd int) net.Conn {
	file := os.NewFile(uintptr(fd), "")
	defer file.Close()
	c, err := net.FileConn(file)
	require.NoError(t, err)
	return c
}

func (s *script) talk(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		a := s.answers[req.URL.Path[1]-'0']
		_, _ = c.Write(a)
		if whole, _ := parse(a); !whole {
			return
		}
	}
}

// parse reports whether a is an answer that has an end, and what is left of it.
func parse(a []byte) (whole bool, left int) {
	from := bytes.NewReader(a)
	r := bufio.NewReader(from)
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return false, 0
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if err != nil || resp.Close || resp.StatusCode == http.StatusSwitchingProtocols {
			return false, 0
		}
		if resp.StatusCode > 199 || resp.StatusCode < 100 {
			return true, r.Buffered() + from.Len()
		}
	}
}

// ask returns what the transport makes of the answers, one after the other.
func ask(t *testing.T, answers [][]byte, through func(*http.Transport) closer) (seen []outcome) {
	s := &script{T: t, answers: answers}
	base := newBase()
	base.DialContext = s.dial
	tr := through(base)
	for i := range answers {
		seen = append(seen, exchange(tr, newGet(t, t.Context(), "http://h.example/"+string(rune('0'+i)))))
	}
	tr.CloseIdleConnections()
	s.running.Wait()
	return seen
}

func netHTTP(base *http.Transport) closer { return base }
func ours(base *http.Transport) closer    { return New(base) }

// Whatever a server sends, the first answer is read as net/http reads it, and the
// second is never what came behind the first.
func FuzzAnswers(f *testing.F) {
	for _, a := range wires {
		if len(a.text) < 1000 {
			f.Add([]byte(a.text), []byte(hello))
			f.Add([]byte(hello), []byte(a.text))
			f.Add([]byte(a.text+hello), []byte(a.text))
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		if len(first)+len(second) > 4<<10 || switches(first) || switches(second) {
			t.Skip("a socket takes it at once; a 101 is not read here")
		}
		got := ask(t, [][]byte{first, second}, ours)
		require.Equal(t, ask(t, [][]byte{first}, netHTTP)[0], got[0])
		require.Equal(t, ask(t, [][]byte{second}, netHTTP)[0], got[1])
		require.Equal(t, ask(t, [][]byte{second}, ours)[0], got[1], "the first has changed it")
	})
}

// switches reports whether net/http may take the answer for another protocol's.
func switches(a []byte) bool {
	return bytes.Contains(a, []byte("101"))
}
