package transfer

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// send sends a request, and follows nothing.
func (f *fetch) send(by *doer, req *http.Request) (*http.Response, error) {
	f.watch.arm()
	defer f.watch.disarm()
	resp, err := by.do(req)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		// Nobody asked for it, and net/http's body would be the connection, which
		// does not end with the request's context.
		_ = resp.Body.Close()
		resp.Body = http.NoBody
	}
	return resp, err
}

// doer does a client's requests one by one. What a client does beyond its transport
// takes 5 µs of each request; it is only needed for cookies and a time-out.
type doer struct {
	transport http.RoundTripper
	client    *http.Client // nil: the transport is enough
	end       time.Time    // of the client's time-out, if it has one
}

func newDoer(c *http.Client) doer {
	if c.Jar != nil || c.Timeout > 0 {
		client := *c
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		return doer{client: &client, end: time.Now().Add(client.Timeout)}
	}
	if c.Transport == nil {
		return doer{transport: http.DefaultTransport}
	}
	return doer{transport: c.Transport}
}

func (d *doer) do(req *http.Request) (*http.Response, error) {
	if d.client == nil {
		return exchangeOver(d.transport, req)
	}
	if d.client.Timeout > 0 { // of all requests together, as in net/http
		d.client.Timeout = max(time.Until(d.end), 1)
	}
	return d.client.Do(req)
}

var errNoBody = errors.New("the transport returned no body")

// exchangeOver is a transport's RoundTrip, with what http.Client sets right in its
// requests and answers.
func exchangeOver(transport http.RoundTripper, req *http.Request) (*http.Response, error) {
	if user := req.URL.User; user != nil && req.Header.Get("Authorization") == "" { // from a CheckRedirect
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		if bad, ok := errors.AsType[tls.RecordHeaderError](err); ok && string(bad.RecordHeader[:]) == "HTTP/" {
			err = http.ErrSchemeMismatch
		}
		return nil, err
	}
	switch {
	case resp == nil:
		return nil, fmt.Errorf("the transport (%T) returned neither an answer nor an error", transport)
	case resp.Body == nil && resp.ContentLength > 0:
		return nil, errNoBody
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	return resp, nil
}
