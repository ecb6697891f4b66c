package transfer

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// send sends a request by do, and follows nothing.
func (f *fetch) send(do func(*http.Request) (*http.Response, error), req *http.Request) (*http.Response, error) {
	f.watch.arm()
	defer f.watch.disarm()
	resp, err := do(req)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		// Nobody asked for it, and net/http's body would be the connection, which
		// does not end with the request's context.
		_ = resp.Body.Close()
		resp.Body = http.NoBody
	}
	return resp, err
}

// doer returns what does a client's requests one by one. What a client does beyond
// its transport takes 5 µs of each request; it is only needed for cookies and a time-out.
func doer(c *http.Client) func(*http.Request) (*http.Response, error) {
	transport := c.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	if c.Jar == nil && c.Timeout <= 0 {
		return func(req *http.Request) (*http.Response, error) { return exchangeOver(transport, req) }
	}
	client := *c
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	end := time.Now().Add(client.Timeout)
	return func(req *http.Request) (*http.Response, error) {
		if client.Timeout > 0 { // of all requests together, as in net/http
			client.Timeout = max(time.Until(end), 1)
		}
		return client.Do(req)
	}
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
