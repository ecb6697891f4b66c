package transfer

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSendingWithoutAClientIsTheSame compares what is sent by the transport alone with
// what http.Client does, which is asked because there is a jar.
func TestSendingWithoutAClientIsTheSame(t *testing.T) {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	broken := errors.New("broken")
	body := func(text string) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) }
	for name, answer := range map[string]func() (*http.Response, error){
		"whole": func() (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: body("x"), ContentLength: 1}, nil
		},
		"no answer":    func() (*http.Response, error) { return nil, nil },
		"no body":      func() (*http.Response, error) { return &http.Response{StatusCode: 200}, nil },
		"body missing": func() (*http.Response, error) { return &http.Response{StatusCode: 200, ContentLength: 1}, nil },
		"failure":      func() (*http.Response, error) { return nil, broken },
		"plain http": func() (*http.Response, error) {
			return nil, tls.RecordHeaderError{RecordHeader: [5]byte([]byte("HTTP/"))}
		},
		"something": func() (*http.Response, error) {
			return nil, tls.RecordHeaderError{RecordHeader: [5]byte([]byte("SSH-2"))}
		},
		"redirect":      func() (*http.Response, error) { return redirectTo("/there"), nil },
		"to nowhere":    func() (*http.Response, error) { return redirectTo(""), nil },
		"error in text": func() (*http.Response, error) { return &http.Response{StatusCode: 500, Body: body("no")}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			transport := roundTrip(func(r *http.Request) (*http.Response, error) {
				resp, err := answer()
				if resp != nil {
					resp.Request = r
				}
				return resp, err
			})
			got, err := ask(t, &http.Client{Transport: transport})
			want, wantErr := ask(t, &http.Client{Transport: transport, Jar: jar})
			assert.Equal(t, want, got)
			assert.Equal(t, wantErr == nil, err == nil)
			for _, kind := range []error{broken, http.ErrSchemeMismatch} {
				assert.Equal(t, errors.Is(wantErr, kind), errors.Is(err, kind), kind)
			}
			_, wantRecord := errors.AsType[tls.RecordHeaderError](wantErr)
			_, record := errors.AsType[tls.RecordHeaderError](err)
			assert.Equal(t, wantRecord, record)
		})
	}
}

func redirectTo(location string) *http.Response {
	h := http.Header{}
	if location != "" {
		h.Set("Location", location)
	}
	return &http.Response{StatusCode: 302, Header: h, Body: http.NoBody}
}

// ask returns the status and the body that a client brings.
func ask(t *testing.T, c *http.Client) (answer string, err error) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://h/", nil)
	require.NoError(t, err)
	by := newDoer(c)
	resp, err := by.do(req)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return http.StatusText(resp.StatusCode) + " " + string(text), nil
}

func TestAClientWithCookiesIsAsked(t *testing.T) {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	var sent []string
	c := &http.Client{Jar: jar, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		sent = append(sent, r.Header.Get("Cookie"))
		return &http.Response{StatusCode: 200, Header: http.Header{"Set-Cookie": {"a=b"}}, Body: http.NoBody, Request: r}, nil
	})}
	for range 2 {
		_, err := ask(t, c)
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"", "a=b"}, sent)
}
