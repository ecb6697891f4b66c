package transfer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// key is a secret that is found nowhere by chance.
const key = "Zq7vK2mX"

func requireNoSecret(t testing.TB, err error) {
	t.Helper()
	require.Error(t, err)
	for _, text := range texts(err) {
		require.NotContains(t, text, key)
		require.Equal(t, printable(text), text, "a terminal must not be moved")
	}
	require.NotContains(t, fmt.Sprintf("%+v", err), key)
}

// closedPort returns an address where nobody listens.
func closedPort(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

func TestNoErrorHoldsASecret(t *testing.T) {
	closed := closedPort(t)
	redirect := func(location string) string {
		return serveRaw(t, always("HTTP/1.1 302 Found\r\nLocation: "+location+"\r\nContent-Length: 0\r\n\r\n"))
	}
	secret := "?sig=" + key + "#" + key
	for name, raw := range map[string]string{
		"nobody there":           "http://" + key + ":" + key + "@" + closed + "/f" + secret,
		"token":                  "http://" + closed + "/f?" + key,
		"padded token":           "http://" + closed + "/f?" + key + "==",
		"bad port":               "http://" + key + "@127.0.0.1:99999/" + secret,
		"other scheme":           "gopher://" + key + "@h/" + secret,
		"not HTTP":               serveRaw(t, always("\x1b[2JSSH-2.0 "+key+"\r\n")) + "/" + secret,
		"bad header":             serveRaw(t, always("HTTP/1.1 200 OK\r\n\x1b[31m http://h/?a="+key+"\r\n\r\n")) + "/" + secret,
		"bad header, bare":       serveRaw(t, always("HTTP/1.1 200 OK\r\n\x1b[31m "+key+"\r\n\r\n")) + "/" + secret,
		"bad length":             serveRaw(t, always("HTTP/1.1 200 OK\r\nContent-Length: "+key+"\r\n\r\n")) + "/" + secret,
		"bad coding":             serveRaw(t, always("HTTP/1.1 200 OK\r\nTransfer-Encoding: "+key+"\r\n\r\n")) + "/" + secret,
		"bad chunk":              serveRaw(t, always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+key+"\r\n")) + "/" + secret,
		"cut":                    serveRaw(t, always("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")) + "/" + secret,
		"status":                 serveRaw(t, always("HTTP/1.1 403 no "+key+"\r\n\r\nno "+key)) + "/" + secret,
		"to garbage":             redirect("http://" + key + ":" + key + "@h:" + key + "/%zz"),
		"to a bad escape":        redirect("/%" + key),
		"to a control character": redirect("/\x01" + key),
		"to another scheme":      redirect("ftp://" + key + "@h/" + secret),
		"to no host":             redirect("http:" + key + "@"),
		"to nobody there":        redirect("http://" + key + ":" + key + "@" + closed + "/" + secret),
		"to a bad port":          redirect("http://127.0.0.1:99999/" + secret),
		"in a loop":              redirect("/" + secret),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := get(t, raw, func(r *Request) { r.Header = http.Header{"Authorization": {"Bearer " + key}} })
			requireNoSecret(t, err)
		})
	}
}

func TestNoErrorHoldsASecretOfAHeader(t *testing.T) {
	for name, header := range map[string]http.Header{
		"bad value": {"Authorization": {key + "\r\nX: y"}},
		"bad name":  {"bad name " + key: {"x"}},
	} {
		_, _, err := get(t, "http://h/", func(r *Request) { r.Header = header })
		require.Error(t, err, name)
		requireNoSecret(t, err)
	}
}

func TestNoErrorHoldsASecretOfTheProxy(t *testing.T) {
	through := func(proxy *url.URL, err error) func(*Request) {
		return func(r *Request) {
			r.Client = newClient(t, func(tr *http.Transport) {
				tr.Proxy = func(*http.Request) (*url.URL, error) { return proxy, err }
			})
		}
	}
	refusing := strings.TrimPrefix(serveRaw(t, always("HTTP/1.1 407 \x1b[31mauthenticate at http://h/?a=b\r\nContent-Length: 0\r\n\r\n")), "http://")
	withSecret := func(scheme, host string) *url.URL {
		return &url.URL{Scheme: scheme, Host: host, User: url.UserPassword(key, key)}
	}
	garbage := fmt.Sprintf("http://%[1]s:%[1]s@h:port/", key)
	_, invalid := url.Parse(garbage)
	for name, change := range map[string]func(*Request){
		"invalid":             through(nil, fmt.Errorf("invalid proxy address %q: %w", garbage, invalid)),
		"unreachable":         through(withSecret("http", closedPort(t)), nil),
		"unreachable, socks5": through(withSecret("socks5", closedPort(t)), nil),
		"unknown scheme":      through(withSecret(key, closedPort(t)), nil),
		"refusing":            through(withSecret("http", refusing), nil),
		"no TLS":              through(withSecret("https", refusing), nil),
	} {
		t.Run(name, func(t *testing.T) {
			for _, raw := range []string{"http://h.invalid/", "https://h.invalid/"} {
				_, _, err := get(t, raw, change)
				requireNoSecret(t, err)
			}
		})
	}
}

// child is what this test binary does when TestNoErrorHoldsASecretOfTheEnvironment
// runs it again: net/http reads the proxy's variable once in a process.
func child() bool {
	raw := os.Getenv("TRANSFER_TEST_FETCH")
	if raw == "" {
		return false
	}
	u, err := url.Parse(raw)
	if err == nil {
		_, err = Fetch(context.Background(), Request{URL: u, Client: &http.Client{Transport: NewRoundTripper()}}, &memory{})
	}
	fmt.Println(strings.Join(texts(err), "\n"))
	return true
}

func TestNoErrorHoldsASecretOfTheEnvironment(t *testing.T) {
	for name, c := range map[string]struct{ proxy, url, want string }{
		"invalid":     {"http://user:" + key + "@h\x7f/", "http://" + closedPort(t) + "/f", "refused"},
		"unreachable": {"http://user:" + key + "@" + closedPort(t) + "/", "http://h.invalid/f", "proxyconnect"},
	} {
		t.Run(name, func(t *testing.T) {
			again := exec.CommandContext(t.Context(), os.Args[0])
			again.Env = append(os.Environ(), "TRANSFER_TEST_FETCH="+c.url, "HTTP_PROXY="+c.proxy, "NO_PROXY=", "http_proxy=", "no_proxy=")
			out, err := again.CombinedOutput()
			require.NoError(t, err, string(out))
			require.Contains(t, string(out), c.want)
			require.NotContains(t, string(out), key)
		})
	}
}

func TestNoErrorOfACallersTransportHoldsASecret(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for name, fail := range map[string]func(*http.Request) error{
		"quoted":         func(r *http.Request) error { return fmt.Errorf("GET %q: %w", r.URL, refused) },
		"bare":           func(r *http.Request) error { return fmt.Errorf("GET %s giving up: %w", r.URL, refused) },
		"query alone":    func(r *http.Request) error { return fmt.Errorf("GET %s: %w", r.URL.RawQuery, refused) },
		"header":         func(r *http.Request) error { return fmt.Errorf("sent %v: %w", r.Header, refused) },
		"in a URL error": func(r *http.Request) error { return &url.Error{Op: "Get", URL: r.URL.String(), Err: refused} },
		"deep":           func(r *http.Request) error { return fmt.Errorf("a: %w", fmt.Errorf("b %s: %w", r.URL, refused)) },
		"multi-line":     func(r *http.Request) error { return errors.Join(errors.New("a\x1b[2J"), refused) },
	} {
		t.Run(name, func(t *testing.T) {
			rt := roundTrip(func(r *http.Request) (*http.Response, error) { return nil, fail(r) })
			_, _, err := get(t, "http://me:"+key+"@h/f?sig="+key, withClient(&http.Client{Transport: rt}))
			requireNoSecret(t, err)
			require.ErrorIs(t, err, syscall.ECONNREFUSED, "the cause can be asked for")
			_, ok := errors.AsType[net.Error](err)
			require.True(t, ok)
		})
	}
}

func TestNoErrorOfACallersCheckRedirectHoldsASecret(t *testing.T) {
	raw := serveRaw(t, always("HTTP/1.1 302 Found\r\nLocation: http://h/?sig="+key+"\r\nContent-Length: 0\r\n\r\n"))
	client := newClient(t)
	client.CheckRedirect = func(r *http.Request, _ []*http.Request) error { return fmt.Errorf("no redirect to %s", r.URL) }
	_, _, err := get(t, raw, withClient(client))
	requireNoSecret(t, err)
}

func TestShown(t *testing.T) {
	for in, want := range map[string]string{
		"connection refused":                "connection refused",
		`bad thing "x" here`:                "bad thing" + withheld,
		`parse "x": no`:                     "parse" + withheld,
		"GET http://u:p@h/: refused":        "GET" + withheld,
		"no 'https://h/?a=b' \"x\"":         "no" + withheld,
		"http://h":                          strings.TrimSpace(withheld),
		"a\nb\x1b[0m":                       "a b[0m",
		"dial tcp 127.0.0.1:1: connect: no": "dial tcp 127.0.0.1:1: connect: no",
	} {
		require.Equal(t, want, strings.TrimSpace(shown(in)))
	}
}
