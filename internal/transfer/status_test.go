package transfer

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func requireStatus(t testing.TB, err error, code int) *StatusError {
	t.Helper()
	status, ok := errors.AsType[*StatusError](err)
	require.True(t, ok, "%T: %v", err, err)
	require.Equal(t, code, status.Code)
	return status
}

func TestOnly200Succeeds(t *testing.T) {
	o := testorigin.New(t)
	for _, code := range []int{
		201, 202, 203, 204, 205, 206, 207, 226, 299, 300, 304, 305, 306, 400, 401, 403,
		404, 407, 408, 410, 416, 418, 425, 429, 451, 500, 502, 503, 504, 522, 599, 999,
	} {
		_, m, err := get(t, o.Serve("/f", nil, testorigin.Status(code, "why")))
		status := requireStatus(t, err, code)
		require.Zero(t, m.starts)
		require.Equal(t, o.URL("/f"), status.URL)
		if code != 204 && code != 304 && code != 205 {
			require.Equal(t, "why", status.Message)
		}
	}
}

func TestARedirectWithoutLocationIsAnAnswer(t *testing.T) {
	o := testorigin.New(t)
	for _, code := range []int{301, 302, 303, 307, 308} {
		_, _, err := get(t, o.Serve("/f", nil, testorigin.Status(code, "")))
		requireStatus(t, err, code)
	}
}

func TestRetryAfterIsPassedOn(t *testing.T) {
	o := testorigin.New(t)
	for _, value := range []string{"120", "Fri, 31 Dec 1999 23:59:59 GMT", "-1", "soon", "99999999999999999999"} {
		_, _, err := get(t, o.Serve("/f", nil, testorigin.Status(503, ""), testorigin.RetryAfter(value)))
		require.Equal(t, value, requireStatus(t, err, 503).RetryAfter)
	}
}

func TestStatusMessages(t *testing.T) {
	head := "HTTP/1.1 404 Not Found\r\n"
	long := strings.Repeat("word ", 1000)
	cases := []struct{ name, answer, want string }{
		{"text", head + "Content-Type: text/plain; charset=utf-8\r\n\r\nno such\r\n  thing\n", "no such thing"},
		{"json", head + "Content-Type: application/problem+json\r\n\r\n{\"a\": 1}", `{"a": 1}`},
		{"xml", head + "Content-Type: application/xml\r\n\r\n<Code>NoSuchKey</Code>", "<Code>NoSuchKey</Code>"},
		{"untyped", head + "\r\nhello", "hello"},
		{"web page", head + "Content-Type: text/html\r\n\r\n<html>", ""},
		{"binary", head + "Content-Type: application/octet-stream\r\n\r\nabc", ""},
		{"binary, said to be text", head + "Content-Type: text/plain\r\n\r\n\x00\x01\xff\xfe\x80ok\x7f", "ok"},
		{"encoded", head + "Content-Encoding: gzip\r\n\r\nabc", ""},
		{"escapes", head + "\r\n\x1b[2J\x1b]0;title\x07red\u009b31m\u202eevil\r\rover", "[2J]0;titlered31mevil over"},
		{"long", head + "\r\n" + long, strings.TrimSpace(long[:200]) + " …"},
		{"shorter than announced", head + "Content-Length: 100\r\n\r\npart", "part"},
		{"empty", head + "Content-Length: 0\r\n\r\n", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := get(t, serveRaw(t, always(c.answer)))
			status := requireStatus(t, err, 404)
			require.Equal(t, strings.ReplaceAll(c.want, " …", "…"), strings.ReplaceAll(status.Message, " …", "…"))
			require.Equal(t, "404 Not Found", status.Status)
		})
	}
}

func TestAnEndlessErrorIsNotDownloaded(t *testing.T) {
	o := testorigin.New(t)
	_, _, err := get(t, o.Serve("/f", nil, testorigin.Status(500, "x"), testorigin.ContentType("text/plain"), testorigin.Endless()))
	status := requireStatus(t, err, 500)
	require.LessOrEqual(t, len([]rune(status.Message)), messageRunes+1)
}

func TestAStatusLineIsPrintable(t *testing.T) {
	raw := serveRaw(t, always("HTTP/1.1 503 \x1b[31mBusy\u202e\x07\r\n\r\n"))
	_, _, err := get(t, raw)
	require.Equal(t, "503 [31mBusy", requireStatus(t, err, 503).Status)
}

func TestAStatusDoesNotRepeatSecrets(t *testing.T) {
	const key = "Zq7vK2mX"
	echo := func(code int) *http.Client {
		return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			user, password, _ := r.BasicAuth()
			text := "no " + r.URL.String() + " for " + user + " " + password + " " +
				r.Header.Get("Authorization") + " " + r.Header.Get("X-Token") + "; sorry"
			return &http.Response{
				StatusCode: code, Status: "404 " + r.URL.RequestURI(), Header: http.Header{},
				Body: io.NopCloser(strings.NewReader(text)), ContentLength: -1,
			}, nil
		})}
	}
	_, _, err := get(t, "http://user-"+key+":"+key+"@h/f?plain="+key+"&coded=%5A"+key+"&"+key+"#"+key,
		withClient(echo(404)), func(r *Request) { r.Header = http.Header{"X-Token": {"Bearer " + key}} })
	status := requireStatus(t, err, 404)
	for _, text := range texts(err) {
		require.NotContains(t, text, key)
	}
	require.Contains(t, status.Message, "no http://h/f?plain=xxxxx")
	require.Contains(t, status.Message, "sorry")
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"plain":                  "plain",
		"  a \t\r\n b  ":         "a b",
		"nul\x00del\x7f":         "nuldel",
		"\x1b[31mred":            "[31mred",
		"bad\xff\xfeutf8\xc3":    "badutf8",
		"bidi\u202e\u2066\u200e": "bidi",
		"zero\u200bwidth\ufeff":  "zerowidth",
		"c1\u0085\u009bend":      "c1 end",
		"日本語 ß é":                "日本語 ß é",
		"line\u2028sep":          "line sep",
	} {
		require.Equal(t, want, printable(in), "%q", in)
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[0m\u202e \xff")
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range shorten(printable(text)) {
			require.True(t, unicode.IsPrint(r), "%q", r)
		}
	})
}

func TestShorten(t *testing.T) {
	exact := strings.Repeat("é", messageRunes)
	require.Equal(t, exact, shorten(exact))
	require.Equal(t, exact+"…", shorten(exact+"!"))
	require.Empty(t, shorten(""))
}

func TestDispositionName(t *testing.T) {
	for field, want := range map[string]string{
		"":                               "",
		"attachment":                     "",
		`attachment; filename=a.bin`:     "a.bin",
		`attachment; filename="a b.bin"`: "a b.bin",
		`inline; FILENAME="a"`:           "a",
		`attachment; filename*=UTF-8''%e2%82%ac.txt`:               "€.txt",
		`attachment; filename="x"; filename*=UTF-8''%e2%82%ac.txt`: "€.txt",
		`attachment; filename="/etc/passwd"`:                       "passwd",
		`attachment; filename="../../x"`:                           "x",
		`attachment; filename="C:\\dir\\f.exe"`:                    "f.exe",
		`attachment; filename=".."`:                                "",
		`attachment; filename="."`:                                 "",
		`attachment; filename="/"`:                                 "",
		`attachment; filename="a/.."`:                              "",
		"attachment; filename=\"\u202e..\"":                        "",
		"attachment; filename=\"a\u202egpj.exe\"":                  "agpj.exe",
		`attachment; filename=""`:                                  "",
		`attachment; filename="a`:                                  "",
		`;;;`:                                                      "",
	} {
		require.Equal(t, want, dispositionName(field), field)
	}
}

func TestAProxyThatWantsCredentialsIsAStatus(t *testing.T) {
	at := strings.TrimPrefix(serveRaw(t, always("HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")), "http://")
	for _, raw := range []string{"http://h.invalid/f?key=s3cret", "https://h.invalid/f?key=s3cret"} {
		_, _, err := get(t, raw, func(r *Request) {
			r.Client = newClient(t, func(tr *http.Transport) { tr.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: at}) })
		})
		status := requireStatus(t, err, 407)
		require.Equal(t, "407 Who are you", status.Status)
		require.NotContains(t, status.URL, "s3cret")
	}
}
