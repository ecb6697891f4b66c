package testorigin_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answer is a response with what could be read of its body.
type answer struct {
	*http.Response
	body string
	err  error // of reading the body
}

// ask sends a request with headers given as key, value, key, value.
func ask(t *testing.T, o *testorigin.Origin, method, url string, header ...string) answer {
	t.Helper()
	response, err := o.Client().Transport.RoundTrip(request(t, method, url, header...))
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response, string(body), err}
}

func get(t *testing.T, o *testorigin.Origin, url string, header ...string) answer {
	t.Helper()
	return ask(t, o, http.MethodGet, url, header...)
}

func request(t *testing.T, method, url string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// dial sends a GET over a connection of its own and returns that.
func dial(t *testing.T, o *testorigin.Origin, path string) (net.Conn, *bufio.Reader) {
	t.Helper()
	address := strings.TrimPrefix(o.URL(""), "http://")
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: "+address+"\r\n\r\n")
	require.NoError(t, err)
	return conn, bufio.NewReader(conn)
}

// readHead reads the status line and the headers as they are on the wire.
func readHead(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		if line == "\r\n" {
			return head.String()
		}
		head.WriteString(line)
	}
}

func readN(t *testing.T, r io.Reader, n int) string {
	t.Helper()
	p := make([]byte, n)
	_, err := io.ReadFull(r, p)
	require.NoError(t, err)
	return string(p)
}

// closed is a gate that is open.
func closed() chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}
